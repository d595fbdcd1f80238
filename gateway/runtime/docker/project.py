"""A running stack: the containers that carry its labels, whether `gateway up` or compose made them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.runtime.docker.container import Container
from gateway.runtime.docker.engine import Engine
from gateway.runtime.errors import RuntimeFailure

PROJECT_LABEL = "com.serving-gateway.project"  # on what `gateway up --runtime docker` makes
SERVICE_LABEL = "com.serving-gateway.service"  # on that, and on the services of our compose file
COMPOSE_LABEL = "com.docker.compose.project"
GATEWAY = "gateway"


@dataclass(slots=True, frozen=True)
class Project:
    """The stack called ``name``; ``label`` is the one that holds this name."""

    engine: Engine
    name: str
    label: str = PROJECT_LABEL

    @property
    def labels(self) -> Mapping[str, str]:
        """What every container of it carries."""
        return {self.label: self.name, SERVICE_LABEL: ""}

    def containers(self, service: str = "") -> list[Container]:
        """The containers of ``service``, running or not, by name; of all services without one."""
        labels = {**self.labels, SERVICE_LABEL: service}
        return sorted(self.engine.containers(labels, SERVICE_LABEL), key=lambda container: container.name)

    def running(self, service: str) -> list[Container]:
        """The running containers of ``service``.

        Raises:
            RuntimeFailure: there is none; says which services there are.
        """
        found = [container for container in self.containers(service) if container.state().running]
        if not found:
            services = sorted({container.service for container in self.containers()})
            raise RuntimeFailure(
                f"{service}: no container of it runs in project {self.name}; it has {_listed(services)}"
            )
        return found

    def remove(self) -> None:
        """Remove everything of it; nothing happens when nothing is left."""
        for container in self.containers():
            container.remove()
        self.engine.remove_networks({self.label: self.name})


def find_project(engine: Engine, name: str = "") -> Project:
    """The project called ``name``, or the only one that there is.

    Raises:
        RuntimeFailure: there is none, or there are several to choose from.
    """
    found = {
        (project, label)
        for label in (PROJECT_LABEL, COMPOSE_LABEL)
        for container in engine.containers({label: name, SERVICE_LABEL: ""}, SERVICE_LABEL)
        if (project := container.labels[label])
    }
    if len(found) == 1:
        (only,) = found
        return Project(engine, *only)
    if found:
        raise RuntimeFailure(
            f"several stacks run here: choose one with --project: {_listed(sorted(n for n, _ in found))}"
        )
    called = f" called {name!r}" if name else ""
    raise RuntimeFailure(
        f"no stack{called} is here; start one with `gateway up --runtime docker` or `docker-compose up --detach`"
    )


def _listed(names: list[str]) -> str:
    return ", ".join(names) or "none"


def remove_project(name: str) -> int:
    """Remove what a run that was killed has left of the project ``name``; returns how many containers that was.

    Raises:
        RuntimeFailure: the engine cannot be asked.
    """
    project = Project(Engine(), name)
    left = len(project.containers())
    project.remove()
    project.engine.close()
    return left
