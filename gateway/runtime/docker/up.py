"""One run of ``gateway up --runtime docker``."""

from __future__ import annotations

import asyncio

from gateway.config.settings import GatewayConfig
from gateway.runtime.console import messages
from gateway.runtime.docker.engine import Engine
from gateway.runtime.docker.plan import STACK_FILE, edge_network, internal_network, plan_containers, project_name
from gateway.runtime.docker.project import Project
from gateway.runtime.docker.server import ContainerServer
from gateway.runtime.follow import Following
from gateway.runtime.launchers.front import CONFIG_FILE
from gateway.runtime.progress import Progress
from gateway.runtime.state import RunDirectory
from gateway.runtime.supervisor import Supervisor
from gateway.runtime.up import supervise


async def run_containers(config: GatewayConfig, run: RunDirectory, following: Following, images: str) -> None:
    """Run the stack in containers until a signal; however it ends, nothing that it made is left.

    ``images`` is what the images' names begin with: a registry, or a part of one. ``following`` hands on what changes
    in the configuration.

    Raises:
        RuntimeFailure: it cannot start.
    """
    project = Project(Engine(), project_name(run))
    project.remove()  # of a run whose state file is lost
    plan = plan_containers(config, run, images)
    gateway, *backends = [ContainerServer(one, project) for one in (plan.gateway, *plan.backends)]
    about = {
        "project": project.name,
        "config": str(run.shown(run.path / CONFIG_FILE)),
        "logs": "gateway deploy logs NAME",
        "models": list(plan.models),
    }
    progress = Progress(messages())
    changes = asyncio.create_task(following.follow(run.path / STACK_FILE, progress.news))
    try:
        own = {project.label: project.name}
        project.engine.create_network(internal_network(project.name), own, internal=True)
        project.engine.create_network(edge_network(project.name), own, internal=False)
        await supervise(Supervisor(gateway, backends, run, progress.news, about), progress, plan.example)
    finally:
        changes.cancel()
        project.remove()
        project.engine.close()
