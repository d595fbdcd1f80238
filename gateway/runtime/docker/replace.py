"""Replace the containers of a service one by one, so that no request is lost, or put back what was there.

new one made, on the network under no name → healthy → right answers → known by the service's names and up in every
gateway → old one drained in every gateway → stopped, removed
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gateway.runtime.docker.container import Container
from gateway.runtime.docker.gateways import Gateways
from gateway.runtime.docker.health import failure, start_healthy
from gateway.runtime.docker.project import GATEWAY, Project
from gateway.runtime.docker.template import Change, Template, template
from gateway.runtime.errors import RuntimeFailure
from gateway.runtime.launch import STOP_SECONDS

READY_SECONDS = 300.0  # beside live traffic everything takes longer
UP_SECONDS = 60.0
NEXT = ".next"


@dataclass(slots=True, frozen=True)
class Deployment:
    """What every step of a deployment needs.

    Attributes:
        project: it works on.
        gateways: that route to it.
        drain_seconds: how long requests in flight on an old container are waited for.
        check: raises when somebody asked to stop.
        news: is told a service and what happened to it.
    """

    project: Project
    gateways: Gateways
    drain_seconds: float
    check: Callable[[], None]
    news: Callable[[str, str], None]

    def to_the_end(self) -> Deployment:
        """The same, which nobody stops: for the way back."""
        return dataclasses.replace(self, check=lambda: None)


@dataclass(slots=True, frozen=True)
class Replacement:
    """A new state of one service, and the way back.

    ``verify`` and ``verify_back`` are the models, as ``name/version``, whose answers are checked before there is
    traffic.
    """

    service: str
    change: Change
    back: Change
    verify: Sequence[str]
    verify_back: Sequence[str] = ()


def renew(deployment: Deployment, service: str, image: str) -> None:
    """Replace every container of ``service`` by a new one of ``image`` (empty: the same); raises as ``replace``."""
    served = deployment.gateways.served()
    models = [f"{name}/{version}" for name, backends in served.items() for version in backends.get(service, [])]
    engine, now = deployment.project.engine, deployment.project.running(service)[0].inspect()
    tag = now["Config"]["Image"]
    back = tag if engine.image(tag).get("Id") == now["Image"] else now["Image"]  # a tag may have been built anew
    replace(deployment, Replacement(service, Change(image), Change(back), models, models))


def replace(deployment: Deployment, replacement: Replacement) -> None:
    """Replace every running container of the service by one with the change.

    Raises:
        RuntimeFailure: a new one failed; tells why. Those that had been replaced before it are as they were.
    """
    service = replacement.service
    if service == GATEWAY:
        raise RuntimeFailure(
            f"{service}: an old and a new one cannot share its ports on the host; only backends are replaced"
        )
    deployment.gateways.refresh(service)  # fails on what is no backend, before anything is made
    for container in deployment.project.containers(service):
        if container.name.endswith(NEXT):
            raise RuntimeFailure(
                f"{service}: {container.name} is of another deployment; if none is at work, one was killed: "
                f"remove it with `docker rm --force {container.name}`"
            )
    done: list[Container] = []
    for old in deployment.project.running(service):
        try:
            deployment.check()
            done.append(_replace_one(deployment, old, replacement.change, replacement.verify))
        except RuntimeFailure as cause:
            _roll_back(deployment, done, replacement, cause)
            raise RuntimeFailure(f"{cause}\n{service}: rolled back, everything runs as before") from None


def _roll_back(
    deployment: Deployment, done: Sequence[Container], replacement: Replacement, cause: RuntimeFailure
) -> None:
    for container in done:
        try:
            _replace_one(deployment.to_the_end(), container, replacement.back, replacement.verify_back)
        except RuntimeFailure as worse:
            raise RuntimeFailure(f"{cause}\nThe way back failed too: {worse}") from None


def _replace_one(deployment: Deployment, old: Container, change: Change, verify: Sequence[str]) -> Container:
    """The new container in the place of ``old``, whose name it has."""
    pattern = pattern_of(deployment, old, change)
    name = old.name
    deployment.news(old.service, f"{name}: starting its successor")
    new = deployment.project.engine.create(f"{name}{NEXT}", old.service, pattern.body)
    try:
        _prove(deployment, new, pattern, verify)
        address = _introduce(deployment, new, pattern)
    except BaseException:
        _withdraw(deployment, new)
        raise
    # From here on there is no way back, and no need of one: the new one answers.
    deployment.news(old.service, f"{name}: its successor at {address} answers; draining it")
    _retire(deployment, old)
    new.rename(name)
    new.restart_always(pattern.restart)
    deployment.news(old.service, f"{name}: replaced")
    return new


def pattern_of(deployment: Deployment, old: Container, change: Change) -> Template:
    """What a container like ``old`` is made of; its image is there."""
    engine, inspected = deployment.project.engine, old.inspect()
    image = change.image or inspected["Config"]["Image"]
    if not engine.image(image):
        deployment.news(old.service, f"pulling {image}")
        engine.pull(image, old.service, deployment.check)
    return template(inspected, engine.image(inspected["Image"]), engine.image(image), change)


def _prove(deployment: Deployment, new: Container, pattern: Template, verify: Sequence[str]) -> None:
    """Start ``new`` where nobody finds it, and have it answer."""
    engine = deployment.project.engine
    for network in pattern.networks:
        if network not in new.networks():
            engine.connect(network, new, {})
    start_healthy(new, READY_SECONDS, lambda _: deployment.check())
    try:
        deployment.gateways.verify(new.service, _address(deployment, new), verify)
    except RuntimeFailure as cause:
        raise failure(new, f"its answers are not right: {cause}") from None
    deployment.check()


def _introduce(deployment: Deployment, new: Container, pattern: Template) -> str:
    """Give ``new`` the names of the service, and return its address once every gateway sends it requests."""
    engine = deployment.project.engine
    for network, endpoint in pattern.networks.items():
        engine.disconnect(network, new)  # names are given on connecting alone
        engine.connect(network, new, endpoint)
    address = _address(deployment, new)
    deployment.gateways.wait_up(new.service, address, UP_SECONDS, deployment.check)
    return address


def _withdraw(deployment: Deployment, new: Container) -> None:
    """Remove ``new``, which a gateway may know already."""
    with contextlib.suppress(RuntimeFailure):
        deployment.gateways.drain(new.service, _address(deployment, new), deployment.drain_seconds)
    new.remove()
    deployment.gateways.refresh(new.service)


def _retire(deployment: Deployment, old: Container) -> None:
    try:
        deployment.gateways.drain(old.service, _address(deployment, old), deployment.drain_seconds)
    except RuntimeFailure as slow:
        # It is told to end all the same, which lets it finish what it has begun.
        deployment.news(old.service, str(slow))
    old.stop(old.stop_timeout(STOP_SECONDS))
    old.remove()
    deployment.gateways.refresh(old.service)  # its address may be somebody else's next


def _address(deployment: Deployment, container: Container) -> str:
    """Where the gateways find ``container``."""
    shared = deployment.gateways.networks()
    for name, network in container.networks().items():
        if name in shared and network["IPAddress"]:
            return str(network["IPAddress"])
    raise RuntimeFailure(f"{container.service}: {container.name} is on no network that the gateway is on")
