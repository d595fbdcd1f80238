"""The containers of a project as they are: shown, started, stopped, and what they log."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from rich.table import Table
from rich.text import Text

from gateway.runtime.docker.container import Container, parse_state
from gateway.runtime.docker.health import start_healthy
from gateway.runtime.docker.project import GATEWAY, Project
from gateway.runtime.docker.replace import READY_SECONDS
from gateway.runtime.errors import RuntimeFailure
from gateway.runtime.launch import STOP_SECONDS


def rows(project: Project) -> list[dict[str, Any]]:
    """What there is to know of each container, for programs."""
    return [_row(container) for container in project.containers()]


def table(project: str, told: Iterable[dict[str, Any]]) -> Table:
    """``rows`` for people, short enough for a terminal of 80 columns."""
    shown = Table(box=None, header_style="bold", pad_edge=False, title=f"project {project}", title_justify="left")
    for header in ("container", "state", "image", "address"):
        shown.add_column(header, overflow="fold")
    for row in told:
        name = row["container"].removeprefix(project).lstrip("-_")
        state = Text(row["state"], "green" if row["ready"] else "yellow")
        shown.add_row(name, state, row["image"].rpartition("/")[2], "\n".join(row["published"] or row["addresses"]))
    return shown


def problems(told: Iterable[dict[str, Any]]) -> list[str]:
    """A sentence for each container that has a problem."""
    return [f"{row['container']}: {row['problem']}" for row in told if row["problem"]]


def start(project: Project, check: Callable[[], None], news: Callable[[str, str], None]) -> None:
    """Start what was stopped: first everything behind the gateways, then those.

    Raises:
        RuntimeFailure: one did not get healthy; those that were started are stopped again.
    """
    stopped = [one for one in project.containers() if not one.state().running and not _has_done_its_work(one.inspect())]
    started: list[Container] = []
    try:
        for container in sorted(stopped, key=lambda one: one.service == GATEWAY):
            started.append(container)
            start_healthy(container, READY_SECONDS, lambda _: check())
            news(container.service, f"{container.name} is ready")
    except RuntimeFailure:
        _stop_all(started)
        raise


def stop(project: Project, news: Callable[[str, str], None]) -> None:
    """Stop everything: the gateways first, which answer what they have accepted. Nothing is removed."""
    containers = [container for container in project.containers() if container.state().running]
    for gateways in (True, False):
        group = [container for container in containers if (container.service == GATEWAY) is gateways]
        _stop_all(group)
        for container in group:
            news(container.service, f"{container.name} is stopped")


def logs(containers: Iterable[Container], *, tail: int, follow: bool, line: Callable[[str], None]) -> None:
    """Give ``line`` each line of the containers' logs, with the container's name before it; forever with ``follow``."""
    if not follow:
        for container in containers:
            _read_log(container, tail, follow, line)
        return
    # Nobody waits for these: Ctrl-C ends the process.
    readers = [
        threading.Thread(target=_read_log, args=(container, tail, follow, line), daemon=True)
        for container in containers
    ]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()


def _read_log(container: Container, tail: int, follow: bool, line: Callable[[str], None]) -> None:
    rest = b""
    for chunk in container.log(follow=follow, tail=tail):
        *lines, rest = (rest + chunk).split(b"\n")
        for text in lines:
            line(f"{container.name} | {text.decode(errors='replace')}")
    if rest:
        line(f"{container.name} | {rest.decode(errors='replace')}")


def _row(container: Container) -> dict[str, Any]:
    inspected = container.inspect()
    state = parse_state(inspected)
    finished = _has_done_its_work(inspected)
    ports = inspected["NetworkSettings"].get("Ports") or {}
    return {
        "service": container.service,
        "container": container.name,
        "state": "finished" if finished else state.health if state.running and state.health else state.status,
        "ready": state.ready or finished,
        "problem": "" if state.ready or finished else state.complaint or state.ended,
        "restarts": state.restarts,
        "image": inspected["Config"]["Image"],
        "addresses": container.addresses(),
        "published": [
            f"{bound['HostIp']}:{bound['HostPort']} → {inner.removesuffix('/tcp')}"
            for inner, bindings in ports.items()
            for bound in bindings or []
        ],
    }


def _has_done_its_work(inspected: dict[str, Any]) -> bool:
    """Whether it was to run once, such as the builder of the models, and did."""
    once = inspected["HostConfig"]["RestartPolicy"]["Name"] in ("", "no")
    return once and inspected["State"]["Status"] == "exited" and inspected["State"]["ExitCode"] == 0


def _stop_all(containers: Iterable[Container]) -> None:
    containers = [*containers]
    with ThreadPoolExecutor(max_workers=max(len(containers), 1)) as threads:
        for stopped in [threads.submit(one.stop, one.stop_timeout(STOP_SECONDS)) for one in containers]:
            stopped.result()
