"""The Docker engine: containers by label, images, networks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import docker
import docker.errors

from gateway.runtime.docker.container import Container
from gateway.runtime.docker.engine_errors import explain_text, explained
from gateway.runtime.errors import RuntimeFailure

_SECONDS = 600.0  # without a word: a command that runs in a container tells what it found at its end


class Engine:
    """A connection to the engine that the environment names (``DOCKER_HOST``), else to the one on this machine."""

    def __init__(self) -> None:
        """Connect.

        Raises:
            RuntimeFailure: there is no engine, or this user may not use it.
        """
        url = docker.utils.kwargs_from_env().get("base_url") or docker.constants.DEFAULT_UNIX_SOCKET
        with explained("Docker", url.removeprefix("http+")):
            self._client = docker.from_env(timeout=_SECONDS)
            self._client.ping()

    def close(self) -> None:
        self._client.close()

    def containers(self, labels: Mapping[str, str], service_label: str) -> list[Container]:
        """Every container, running or not, with all of ``labels``; an empty value stands for any."""
        with explained("Docker"):
            found = self._client.containers.list(all=True, filters={"label": _filters(labels)}, ignore_removed=True)
        return [Container(handle, handle.labels.get(service_label, handle.name)) for handle in found]

    def create(self, name: str, service: str, config: Mapping[str, Any]) -> Container:
        """A container that is yet to be started; ``config`` is the body of the engine's API call."""
        with explained(service):
            answer = self._client.api.create_container_from_config(dict(config), name)
            return Container(self._client.containers.get(answer["Id"]), service)

    def image(self, image: str) -> dict[str, Any]:
        """What the engine knows of ``image``; empty when it is not there."""
        with explained(image):
            try:
                return dict(self._client.images.get(image).attrs)
            except docker.errors.ImageNotFound:
                return {}

    def pull(self, image: str, service: str, check: Callable[[], None]) -> None:
        """Fetch ``image``; ``check`` may raise meanwhile, which ends it.

        Raises:
            RuntimeFailure: it cannot be had.
        """
        repository, tag = docker.utils.parse_repository_tag(image)
        reason = ""
        try:
            for line in self._client.api.pull(repository, tag or "latest", stream=True, decode=True):
                reason = line.get("error", reason)
                check()
        except docker.errors.APIError as error:
            reason = error.explanation or str(error)
        if reason:
            raise RuntimeFailure(f"{service}: image {image} is not here and cannot be pulled: {explain_text(reason)}")

    def create_network(self, name: str, labels: Mapping[str, str], *, internal: bool) -> None:
        """A bridge network; there is no way out of an ``internal`` one."""
        with explained(f"network {name}"):
            self._client.networks.create(
                name, driver="bridge", internal=internal, labels=dict(labels), check_duplicate=True
            )

    def remove_networks(self, labels: Mapping[str, str]) -> None:
        """Remove every network with all of ``labels``."""
        with explained("network"):
            for network in self._client.networks.list(filters={"label": _filters(labels)}):
                network.remove()

    def connect(self, network: str, container: Container, endpoint: Mapping[str, Any]) -> None:
        """Put ``container`` on ``network``, with the aliases and links of ``endpoint``."""
        with explained(container.service):
            self._client.networks.get(network).connect(
                container.id, aliases=endpoint.get("Aliases"), links=endpoint.get("Links")
            )

    def disconnect(self, network: str, container: Container) -> None:
        with explained(container.service):
            self._client.networks.get(network).disconnect(container.id)


def _filters(labels: Mapping[str, str]) -> list[str]:
    return [f"{key}={value}" if value else key for key, value in labels.items()]
