"""Models, versions and signatures as TensorFlow Serving's clients name them, with its words for what is not there."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.codecs.tfs_model_spec import DEFAULT_SIGNATURE, ModelQuery, version_number
from gateway.codecs.tfs_status import AVAILABLE, END, LOADING, UNLOADING, VersionStatus
from gateway.core.catalog import Catalog, ServedModel
from gateway.core.errors import InvalidRequest, ModelNotFound
from gateway.core.repository import ModelEntry, ModelState
from gateway.core.signatures import Signature
from gateway.frontends.server import Server

_STATES = {ModelState.READY: AVAILABLE, ModelState.LOADING: LOADING, ModelState.UNLOADING: UNLOADING}


class SignatureNotFound(InvalidRequest):
    """The model has no signature of that name."""


def find(catalog: Catalog, query: ModelQuery) -> ServedModel:
    """The model that ``query`` names.

    Raises:
        InvalidRequest: no version has that label.
        ModelNotFound: no such model or version.
        Unavailable: it is configured, but cannot be served yet.
    """
    version = _version(catalog, query)
    try:
        return catalog.get(query.name, version)
    except ModelNotFound:
        raise ModelNotFound(f"Servable not found for request: {ModelQuery(query.name, version)}") from None


def signatures(model: ServedModel) -> Mapping[str, Signature]:
    """The signatures of ``model`` by name; the one of a model that has no names for them gets the usual one."""
    return model.signatures or {DEFAULT_SIGNATURE: model.signature}


def signature_called(model: ServedModel, name: str) -> tuple[str, Signature]:
    """The signature that a client calls ``name`` (empty: the default one), with its real name.

    Raises:
        SignatureNotFound: there is none of that name.
    """
    known = signatures(model)
    if not name:
        name = DEFAULT_SIGNATURE if DEFAULT_SIGNATURE in known else _name_of(model.signature, known)
    if name not in known:
        raise SignatureNotFound(f'Serving signature key "{name}" not found.; the model has {sorted(known)}')
    return name, known[name]


def wire_name(model: ServedModel, name: str) -> str:
    """What the signature with the real ``name`` is called below the front doors; empty where there are no names."""
    return name if model.signatures else ""


def statuses(server: Server, query: ModelQuery) -> list[VersionStatus]:
    """The status of the version that ``query`` names, or of all versions, oldest first.

    Raises:
        InvalidRequest: no version has that label.
        ModelNotFound: no such model or version.
        Unavailable: it is configured, but nothing is known of it yet.
    """
    wanted = _version(server.catalog, query)
    served = {model.version for model in server.catalog if model.name == query.name}
    known = [
        _status(entry, served=entry.version in served, stopping=server.lifecycle.draining)
        for entry in server.repository.index()
        if entry.name == query.name and entry.version and wanted in ("", entry.version)
    ]
    if known:
        return known
    if query.name in server.catalog.expected:
        server.catalog.versions(query.name)  # raises Unavailable with the reason
    if wanted:
        raise ModelNotFound(f"Could not find version {wanted} of model {query.name}")
    raise ModelNotFound(f"Could not find any versions of model {query.name}")


def _version(catalog: Catalog, query: ModelQuery) -> str:
    if not query.label:
        # OpenVINO Model Server's client says 0 where it means the latest, unless there is such a version.
        named = query.version != "0" or any((model.name, model.version) == (query.name, "0") for model in catalog)
        return query.version if named else ""
    version = catalog.labels(query.name).get(query.label)
    if version is None:
        raise InvalidRequest(f"Unrecognized servable version label: {query.label}")
    return version


def _name_of(signature: Signature, known: Mapping[str, Signature]) -> str:
    return next((name for name, other in known.items() if other == signature), DEFAULT_SIGNATURE)


def _status(entry: ModelEntry, *, served: bool, stopping: bool) -> VersionStatus:
    # A version that is served and not ready may come back, as one that is being loaded; what is not served has ended.
    state = _STATES.get(entry.state, LOADING if served else END)
    if stopping and state == AVAILABLE:
        state = UNLOADING  # so that whoever watches goes elsewhere before the doors close
    problem = entry.reason if state == LOADING else ""
    # The protocol has numbers only; other servers' versions may be any text.
    return VersionStatus(version_number(entry.version) or 0, state, problem)
