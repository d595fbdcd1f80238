"""From the configuration to the list of servers to start, with every file they need written."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gateway.config.file import ConfigError
from gateway.config.settings import GatewayConfig
from gateway.repository import check_stored
from gateway.runtime.errors import RuntimeFailure
from gateway.runtime.launch import Launch
from gateway.runtime.launchers.context import LaunchContext
from gateway.runtime.launchers.front import CONFIG_FILE, launch_gateway
from gateway.runtime.launchers.onnxruntime import launch_oip
from gateway.runtime.launchers.tensorflow import launch_tfserving
from gateway.runtime.launchers.torchserve import launch_torchserve, launched_settings
from gateway.runtime.ports import check_free, listening_ports, resolve_ports
from gateway.runtime.state import DEFAULT_RUN_DIRECTORY, RunDirectory
from model_store.engines import ENGINES
from model_store.errors import StoreError
from model_store.manifest import verify_checksums
from model_store.store import ModelStore, StoredModel

_INSIDE = {"torchserve": "pytorch", "tfserving": "tensorflow"}  # what runs in a server of that kind


@dataclass(slots=True, frozen=True)
class Plan:
    """What ``gateway up`` runs: the backends first, all at once, then the gateway.

    ``example`` is a command that works as it stands.
    """

    backends: Sequence[Launch]
    gateway: Launch
    models: Sequence[str]
    example: str


def make_plan(config: GatewayConfig, run: RunDirectory) -> Plan:
    """Check that the stack can start, and write the configuration of every server to the run directory.

    Raises:
        RuntimeFailure: a port is taken, a model is not built, a label stands for no served version, or a server is not
            installed.
    """
    config = resolve_ports(config)
    check_free(listening_ports(config))
    context = make_context(config, run)
    backends = [launch for name in config.backends if (launch := launch_backend(name, context)) is not None]
    return Plan(backends, launch_gateway(context), list(context.models), example_command(context))


def make_context(config: GatewayConfig, run: RunDirectory, *, elsewhere: bool = False) -> LaunchContext:
    """What every launcher needs to know; ``config`` has its ports resolved, ``elsewhere`` is as in LaunchContext.

    Raises:
        RuntimeFailure: a model is not built or damaged, or a label or the routing names what is not served.
    """
    config = _absolute(config, run)
    try:
        models = _models(config)
        config = _routed(config, models)
        check_stored(config, ModelStore(config.model_store))
    except (StoreError, ConfigError) as error:
        raise RuntimeFailure(str(error)) from None
    return LaunchContext(config, run, models, elsewhere)


def launch_backend(name: str, context: LaunchContext) -> Launch | None:
    """The launch of the backend ``name``; None for a part of the gateway's process, or somebody else's server.

    Raises:
        RuntimeFailure: none of the models is for it, or its server is not installed.
    """
    backend = context.config.backends[name]
    if backend.kind == "embedded" or backend.launch is None:
        return None
    if not context.models_of(name):
        raise RuntimeFailure(
            f"backends.{name}: none of the models to serve is for it: {', '.join(context.models)}; "
            f"see `model-store list`, or leave it out with --backends"
        )
    if backend.kind == "torchserve":
        return launch_torchserve(name, backend, backend.launch, context)
    if backend.kind == "tfserving":
        return launch_tfserving(name, backend, backend.launch, context)
    return launch_oip(name, backend, backend.launch, context)


def _routed(config: GatewayConfig, models: Mapping[str, StoredModel]) -> GatewayConfig:
    """``config`` with each server that is started here limited to the models that were built for it."""
    backends = dict(config.backends)
    for name, backend in config.backends.items():
        if backend.kind == "embedded":
            engine: str = backend.engine
        elif backend.launch is not None:
            engine = backend.launch.engine if backend.kind == "oip" else _INSIDE[backend.kind]
        else:
            continue  # somebody else's server: what it holds is not for the store to say
        target = ENGINES[engine][0]
        lacking = {model.manifest.name for model in models.values() if target not in model.manifest.artifacts}
        built = dict.fromkeys(model.manifest.name for model in models.values() if model.manifest.name not in lacking)
        wanted = backend.models if backend.models is not None else built
        backends[name] = backend.model_copy(update={"models": [model for model in wanted if model in built]})
    return config.model_copy(update={"backends": backends})


def example_command(context: LaunchContext) -> str:
    """``gateway infer`` on a sample of the store; a picture where there is one."""
    best = next((model for model in context.models.values() if model.pictures()), next(iter(context.models.values())))
    manifest = best.manifest
    option, samples = ("--image", [*best.pictures().values()]) if best.pictures() else ("--npy", best.sample_files())
    if not samples:
        return "gateway models"
    # Through the store's own path: the real one is a build directory that the next build replaces.
    sample = context.config.model_store / manifest.name / manifest.version / samples[0].relative_to(best.directory)
    words = ["gateway", "infer", manifest.name, option, str(context.run.shown(sample))]
    if context.run.path != DEFAULT_RUN_DIRECTORY.absolute():
        words += ["--config", str(context.run.shown(context.run.path / CONFIG_FILE))]
    return shlex.join(words)


def _models(config: GatewayConfig) -> dict[str, StoredModel]:
    store = ModelStore(config.model_store)
    entries = config.models or store.names()
    if not entries:
        raise RuntimeFailure(
            f"the model store {config.model_store} is empty; build a model with: model-store build NAME"
        )
    models: dict[str, StoredModel] = {}
    for entry in entries:
        name, _, version = entry.partition("/")
        model = store.get(name, version)
        if model.directory not in {known.directory for known in models.values()}:
            models[entry] = model
    for model in models.values():
        # A server would fail on a damaged file later, and in words of its own.
        verify_checksums(model.directory, model.manifest)
    return models


def _absolute(config: GatewayConfig, run: RunDirectory) -> GatewayConfig:
    """``config`` with absolute paths, and with what a TorchServe that is started here will have of its own."""
    backends = dict(config.backends)
    for name, backend in config.backends.items():
        if backend.kind != "torchserve":
            continue
        if backend.launch is not None:
            backends[name] = launched_settings(backend, backend.launch, run.path / name)
        elif backend.token_file is not None:
            backends[name] = backend.model_copy(update={"token_file": backend.token_file.absolute()})
    return config.model_copy(update={"model_store": config.model_store.absolute(), "backends": backends})
