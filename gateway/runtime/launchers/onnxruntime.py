"""A server of the Open Inference Protocol: ``gateway serve`` with ONNX Runtime, or another engine, inside."""

from __future__ import annotations

from typing import cast

from gateway.config.backends import OIPBackend, OIPLaunch
from gateway.runtime.launch import Launch, child_environment, serve_command
from gateway.runtime.launchers import embedded
from gateway.runtime.launchers.context import LaunchContext, probe_inputs
from gateway.runtime.ports import client_host, join_address, split_address
from gateway.runtime.readiness import oip_probe


def launch_oip(name: str, backend: OIPBackend, launch: OIPLaunch, context: LaunchContext) -> Launch:
    """The launch of the backend ``name``."""
    server = embedded.describe(launch.engine)
    # A launched one has a URL, and resolve_ports has filled in the other.
    url, grpc_address = cast("str", backend.url), cast("str", backend.grpc)
    http, grpc = split_address(url), split_address(grpc_address)
    models = context.models_of(name)
    config = context.run.path / f"{name}.yaml"
    embedded.write_config(
        config,
        context.config,
        engine=launch.engine,
        launch=launch,
        protocol="oip",
        http=http,
        grpc=grpc,
        metrics=(http[0], launch.metrics_port),
        models=context.entries_of(name),
    )
    return Launch(
        name=name,
        server=server,
        command=serve_command(config),
        directory=context.run.path,
        environment=child_environment(),
        probe=oip_probe(f"http://{join_address(client_host(http[0]), http[1])}", probe_inputs(models)),
        ready_timeout=launch.ready_timeout,
        facts={
            "kind": backend.kind,
            "url": url,
            "grpc": grpc_address,
            "metrics": join_address(http[0], launch.metrics_port),
            "device": launch.device,
            "threads": launch.threads,
        },
    )
