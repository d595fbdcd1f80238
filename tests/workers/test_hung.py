"""Workers that hang: real processes whose event loop stands still."""

import asyncio
import os
import signal
import subprocess
import sys
import time

import pytest
from structlog.testing import capture_logs
from support.scaled_store import save_scaled
from support.served_workers import ENGINE

from gateway.config.settings import GatewayConfig
from gateway.runtime import hanging
from gateway.workers import worker_slot
from gateway.workers.process import WorkerFailed
from gateway.workers.worker_slot import WorkerSlot, WorkerState

# Runs in the worker as it starts; the signal then blocks its event loop, as an endless loop in its code would.
_STANDS_STILL = """
import signal, time
def stand_still(*_):
    time.sleep(1000)
signal.signal(signal.SIGUSR1, stand_still)
"""


@pytest.fixture
def settings(tmp_path, monkeypatch):
    (tmp_path / "sitecustomize.py").write_text(_STANDS_STILL)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(hanging, "BEAT_SECONDS", 0.1)
    monkeypatch.setattr(hanging, "HUNG_SECONDS", 2.0)
    free = {key: {"port": 0} for key in ("http", "grpc", "metrics", "admin")}
    store = save_scaled(tmp_path / "store", 2)
    return GatewayConfig.model_validate(
        {**free, "model_store": str(store), "backends": {"engine": ENGINE}, "workers": 2, "parity": None}
    )


async def welcome(_):
    pass


def test_one_whose_event_loop_stands_still_says_where_and_is_replaced(settings, capfd):
    async def scenario():
        slot = WorkerSlot(0, settings, reasons.append, welcome)
        await slot.start()
        try:
            with capture_logs() as logs:
                for number in (signal.SIGUSR1, signal.SIGSTOP):  # the second one cannot even say where
                    pid = slot.pid
                    os.kill(pid, number)
                    async with asyncio.timeout(60):
                        while slot.state is not WorkerState.READY or slot.pid == pid:
                            await asyncio.sleep(0.02)
        finally:
            await slot.stop(10)
        assert [line["how"] for line in logs if line["event"] == "worker ended"] == [
            "killed by SIGABRT",
            "killed by SIGKILL",
        ]

    reasons = []
    asyncio.run(scenario())
    assert reasons == ["hung", "hung"]
    assert "in stand_still" in capfd.readouterr().err


def test_one_that_answers_late_is_left_alone(settings):
    async def scenario():
        slot = WorkerSlot(0, settings, lambda _: None, welcome)
        await slot.start()
        try:
            pid = slot.pid
            for _ in range(3):
                os.kill(pid, signal.SIGSTOP)
                await asyncio.sleep(0.7)
                os.kill(pid, signal.SIGCONT)
                await asyncio.sleep(0.5)
            assert (slot.pid, slot.state) == (pid, WorkerState.READY)
        finally:
            await slot.stop(10)

    asyncio.run(scenario())


@pytest.mark.parametrize("size", [0, 1_000_000])  # more than a pipe takes that nobody reads
def test_one_that_hangs_before_it_reads_its_configuration_is_ended(settings, tmp_path, monkeypatch, size):
    async def scenario():
        slot = WorkerSlot(0, settings.model_copy(update={"name": "n" * size}), lambda _: None, welcome)
        with pytest.raises(WorkerFailed, match=r"did not serve within 0\.5 s: killed by SIGABRT"):
            await slot.start()
        await slot.stop(10)

    (tmp_path / "sitecustomize.py").write_text("import signal\nsignal.pause()\n")
    monkeypatch.setattr(worker_slot, "START_SECONDS", 0.5)
    asyncio.run(scenario())


@pytest.mark.parametrize("hangs", ["time.sleep(1000)", "while True: pass"])
def test_one_without_a_parent_ends_although_it_hangs(hangs):
    begins = "import time; from gateway.workers.orphan import end_with_parent; end_with_parent(0, 0.5)"
    code = f"{begins}; print(1, flush=True)\n{hangs}"
    orphan = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert orphan.stdout.readline() == b"1\n"
        with pytest.raises(subprocess.TimeoutExpired):
            orphan.wait(0.5)
        since = time.monotonic()
        orphan.stdin.close()
        assert orphan.wait(20) == 1
        assert time.monotonic() - since >= 0.5  # for as long as a drain may take
    finally:
        orphan.kill()
        orphan.wait()
        orphan.stdout.close()
