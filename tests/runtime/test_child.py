from __future__ import annotations

import asyncio
import dataclasses
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gateway.core.tensors import Tensor
from gateway.runtime import child as child_module
from gateway.runtime import hanging, liveness
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


@pytest.fixture
def watched(launch: Launch, monkeypatch: pytest.MonkeyPatch) -> Launch:
    """One that hangs after two seconds without an answer, and may take as long to stop."""
    monkeypatch.setattr(hanging, "BEAT_SECONDS", 0.1)
    for module in (hanging, child_module):
        monkeypatch.setattr(module, "HUNG_SECONDS", 2.0)
    monkeypatch.setattr(liveness, "_ASK_SECONDS", 1.0)
    command = (sys.executable, "-X", "faulthandler", *launch.command[1:])
    address = launch.probe.request(launch.probe.inputs[0]).url
    return dataclasses.replace(launch, command=command, alive=address, stop_timeout=2.0)


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(("number", "end"), [(signal.SIGUSR1, "SIGABRT"), (signal.SIGSTOP, "SIGKILL")])
def test_one_that_hangs_is_ended_and_started_again(run_child: Any, watched: Launch, number: int, end: str) -> None:
    async def use(child: Child) -> None:
        await child.start()
        pid = child.pid
        assert pid is not None
        os.kill(pid, number)
        await _until(lambda: child.state is ServerState.READY and child.pid != pid)
        assert child.restarts == 1
        assert group_members(pid) == []  # its worker is gone too
        logs.append(child.log.read_text())

    logs: list[str] = []
    told = run_child(watched, use)
    (news,) = [news for _, news in told if "hung" in news]
    assert news.startswith(f"hung: no answer for 2 s; killed by {end}; restart in 0.5 s; log: ")
    assert ("in stand_still" in logs[0]) == (end == "SIGABRT")


def test_one_that_takes_long_to_start_or_to_stop_does_not_hang(run_child: Any, watched: Launch, tmp_path: Path) -> None:
    async def use(child: Child) -> None:
        starting = asyncio.create_task(child.start())
        await _until(lambda: "503" in child.waiting_for)
        (tmp_path / "loaded").touch()
        await starting

    # Nobody ever answers there; and SIGTERM does nothing, until SIGKILL comes after two seconds.
    command = (*watched.command, "stubborn", f"late={tmp_path / 'loaded'}")
    told = run_child(dataclasses.replace(watched, command=command, alive="http://127.0.0.1:1"), use)
    assert [state for state, _ in told] == [ServerState.STARTING, ServerState.READY, ServerState.STOPPED]


def test_a_stop_while_one_that_hangs_writes_its_last_words(run_child: Any, watched: Launch) -> None:
    async def use(child: Child) -> None:
        await child.start()
        assert child.pid is not None
        pids.append(child.pid)
        os.kill(child.pid, signal.SIGSTOP)
        await _until(lambda: child.state is ServerState.RESTARTING)

    pids: list[int] = []
    told = run_child(dataclasses.replace(watched, stop_timeout=1000.0), use)
    assert group_members(pids[0]) == []
    assert [state for state, _ in told][-2:] == [ServerState.RESTARTING, ServerState.STOPPED]


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
