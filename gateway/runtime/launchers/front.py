"""The gateway itself, in front of the backends."""

from __future__ import annotations

from gateway.config.backends import EmbeddedBackend
from gateway.config.file import dump_config
from gateway.config.settings import GatewayConfig, Listener
from gateway.runtime.launch import Launch, child_environment, serve_command
from gateway.runtime.launchers.context import LaunchContext, probe_inputs
from gateway.runtime.ports import client_host, join_address
from gateway.runtime.readiness import oip_probe, tfserving_probe

NAME = "gateway"
CONFIG_FILE = "gateway.yaml"
_READY_SECONDS = 60.0
# Beyond what the drain may take by its own settings: stopping the process itself.
_STOP_MARGIN_SECONDS = 5.0


def launch_gateway(context: LaunchContext) -> Launch:
    """The launch of the gateway; writes the resolved configuration for it and for people to read."""
    config = context.config
    path = context.run.path / CONFIG_FILE
    path.write_text(dump_config(config), encoding="utf-8")
    # Only what this very stack can answer for: a server of somebody else may be down, or not have the model.
    own = [name for name, backend in config.backends.items() if isinstance(backend, EmbeddedBackend) or backend.launch]
    served = {entry: context.models[entry] for name in own for entry in context.entries_of(name)}
    probe = oip_probe if "oip" in config.protocols else tfserving_probe
    url = f"http://{join_address(client_host(config.http.host), config.http.port)}"
    return Launch(
        name=NAME,
        server="gateway serve",
        command=serve_command(path),
        directory=context.run.path,
        environment=child_environment(),
        probe=probe(url, probe_inputs(list(served.values()))),
        ready_timeout=_READY_SECONDS,
        stop_timeout=stop_seconds(config),
        alive=_live_url(config.admin),
        facts={
            key: _address(listener)
            for key in ("http", "grpc", "metrics", "admin")
            if (listener := getattr(config, key)) is not None
        },
    )


def stop_seconds(config: GatewayConfig) -> float:
    """How long a gateway with this configuration may take to stop: it drains first."""
    return config.drain.grace + config.drain.timeout + _STOP_MARGIN_SECONDS


def _live_url(admin: Listener | None) -> str | None:
    return None if admin is None else f"http://{join_address(client_host(admin.host), admin.port)}/livez"


def _address(listener: Listener) -> str:
    return join_address(listener.host, listener.port)
