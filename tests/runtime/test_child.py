from __future__ import annotations

import asyncio
import dataclasses
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gateway.core.tensors import Tensor
from gateway.runtime.child import Child, read_tail
from gateway.runtime.errors import RuntimeFailure
from gateway.runtime.launch import Launch
from gateway.runtime.process import describe_exit, open_log
from gateway.runtime.procfs import group_members
from gateway.runtime.readiness import ProbeInput, oip_probe
from gateway.runtime.reaper_client import Reaper
from gateway.runtime.server import ServerState

Use = Callable[[Child], Awaitable[None]]


@pytest.fixture
def reaper(tmp_path: Path) -> Iterator[Reaper]:
    client = Reaper(tmp_path / "reaper.log")
    yield client
    client.close()


@pytest.fixture
def launch(tmp_path: Path, standin: Path, free_ports: Any) -> Launch:
    (port,) = free_ports(1)
    inputs = [ProbeInput("digits", (Tensor.from_numpy("x", np.zeros((1, 4), np.float32)),))]
    return Launch(
        name="alpha",
        server="stand-in",
        command=(sys.executable, "-S", str(standin), str(port), "worker"),
        directory=tmp_path,
        environment={"PATH": ""},
        probe=oip_probe(f"http://127.0.0.1:{port}", inputs),
        ready_timeout=20.0,
        facts={},
    )


@pytest.fixture
def run_child(tmp_path: Path, reaper: Reaper) -> Callable[[Launch, Use], list[tuple[ServerState, str]]]:
    """Runs a child through ``use`` and stops it; returns what it told."""

    def run(launch: Launch, use: Use) -> list[tuple[ServerState, str]]:
        told: list[tuple[ServerState, str]] = []

        async def main() -> None:
            log = tmp_path / "alpha.log"
            child = Child(launch, log, reaper)
            child.changed = lambda child, news: told.append((child.state, news))
            try:
                await use(child)
            finally:
                await child.stop(asyncio.Event())

        asyncio.run(main())
        return told

    return run


def test_it_starts_answers_and_stops_with_its_worker(run_child: Any, launch: Launch) -> None:
    async def use(child: Child) -> None:
        await child.start()
        assert child.state is ServerState.READY
        assert child.pid is not None
        assert len(group_members(child.pid)) == 2
        pids.append(child.pid)

    pids: list[int] = []
    told = run_child(launch, use)
    assert group_members(pids[0]) == []
    assert [state for state, _ in told] == [ServerState.STARTING, ServerState.READY, ServerState.STOPPED]
    assert told[1][1].startswith("ready after ")


def test_a_server_that_never_answers_fails_in_time_and_is_stopped(
    run_child: Any, launch: Launch, tmp_path: Path
) -> None:
    launch = dataclasses.replace(launch, command=(*launch.command, f"late={tmp_path / 'never'}"), ready_timeout=1.0)

    async def use(child: Child) -> None:
        with pytest.raises(RuntimeFailure) as failure:
            await child.start()
        assert child.pid is None
        message = str(failure.value)
        # What the last probe met depends on when it came; tests of readiness tell each apart.
        assert message.startswith("alpha: not ready within 1 s, no first inference of digits: ")
        assert f"Its log is {child.log}" in message
        assert "stand-in on port" in message

    assert run_child(launch, use)[-1][0] is ServerState.FAILED


def test_a_program_that_does_not_exist_fails(run_child: Any, launch: Launch) -> None:
    async def use(child: Child) -> None:
        with pytest.raises(RuntimeFailure, match=r"alpha: cannot start: /no/such/java: No such file or directory"):
            await child.start()

    run_child(dataclasses.replace(launch, command=("/no/such/java",)), use)


def test_scratch_is_empty_at_each_start_and_gone_at_the_end(run_child: Any, launch: Launch, tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    (scratch / "of the last run").touch()

    async def use(child: Child) -> None:
        await child.start()
        assert list(scratch.iterdir()) == []
        assert scratch.stat().st_mode & 0o777 == 0o700

    run_child(dataclasses.replace(launch, scratch=scratch), use)
    assert not scratch.exists()


def test_scratch_that_belongs_to_somebody_else_is_refused(run_child: Any, launch: Launch, tmp_path: Path) -> None:
    scratch, elsewhere = tmp_path / "scratch", tmp_path / "elsewhere"
    elsewhere.mkdir()
    scratch.symlink_to(elsewhere)  # rmtree does not follow it, mkdir does not take it

    async def use(child: Child) -> None:
        with pytest.raises(RuntimeFailure, match=r"cannot start: .*scratch: File exists"):
            await child.start()

    run_child(dataclasses.replace(launch, scratch=scratch), use)
    assert elsewhere.is_dir()


@pytest.mark.parametrize(
    ("status", "text"),
    [(0, "exit code 0"), (3, "exit code 3"), (-9, "killed by SIGKILL"), (-63, "killed by signal 63")],
)
def test_exits_are_described(status: int, text: str) -> None:
    assert describe_exit(status) == text


def test_a_log_starts_with_a_line_and_is_appended_to(tmp_path: Path) -> None:
    log = tmp_path / "alpha.log"
    for line in ("first", "second"):
        output = open_log(log, line)
        assert not isinstance(output, int)
        output.close()
    assert log.read_text() == "first\nsecond\n"


def test_a_full_disk_keeps_no_server_from_starting() -> None:
    output = open_log(Path("/dev/full"), "first line")  # every write fails with ENOSPC
    assert not isinstance(output, int)
    output.close()
    assert isinstance(open_log(Path("/no/such/directory/alpha.log"), "first line"), int)


def test_the_tail_of_a_log_is_its_last_fifteen_lines(tmp_path: Path) -> None:
    log = tmp_path / "alpha.log"
    log.write_bytes(b"".join(b"line %d \xff\n" % number for number in range(10_000)))
    lines = read_tail(log).splitlines()
    assert len(lines) == 15
    assert lines[-1] == "  line 9999 �"
    assert read_tail(tmp_path / "missing.log") == ""
