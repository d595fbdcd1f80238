"""``HandleReloadConfigRequest``: serve exactly the models of a list."""

from __future__ import annotations

from gateway.codecs.tfs_reload import ModelConfig, Reload
from gateway.core.errors import InvalidRequest, Unsupported
from gateway.frontends.server import Server


async def apply(server: Server, reload: Reload) -> None:
    """Load the models of the list that are not served, then unload those that are served and not in the list.

    The labels of the list replace all labels. What cannot be done is refused before anything is changed, so far as it
    can be known; a model that does not load ends the change, with everything that was served still served.

    Raises:
        Unsupported: a model asks for chosen versions that are not those served.
        InvalidRequest: a label is for a version that is not served.
        ModelNotFound: a model is neither in the store nor on a backend with model control.
        Unavailable: a model does not load.
    """
    served = _served(server)
    for model in reload.models:
        _check_versions(model, served.get(model.name, []))
        if model.name in served:
            _check_labels(model, served[model.name])
    for model in reload.models:
        if model.name not in served:
            await server.repository.load(model.name)
    now = _served(server)
    for model in reload.models:
        _check_labels(model, now.get(model.name, []))
    server.catalog.set_labels({model.name: model.labels for model in reload.models if model.labels})
    for name in now.keys() - {model.name for model in reload.models}:
        await server.repository.unload(name)


def _served(server: Server) -> dict[str, list[str]]:
    """Versions by model."""
    versions: dict[str, list[str]] = {}
    for model in server.catalog:
        versions.setdefault(model.name, []).append(model.version)
    return versions


def _check_versions(model: ModelConfig, served: list[str]) -> None:
    if model.versions is not None and model.versions != set(served):
        raise Unsupported(
            f"model_version_policy of model {model.name!r}: which versions are served is set in the configuration "
            f"of this server; served: {served}"
        )


def _check_labels(model: ModelConfig, served: list[str]) -> None:
    for label, version in model.labels.items():
        if version not in served:
            raise InvalidRequest(
                f"version_labels[{label!r}]: Request to assign label to version {version} of model {model.name}, "
                "which is not currently available for inference"
            )
