"""Where the gateway's CPU time goes: one connection, the smallest request, its functions sampled under load."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from benchmarks.errors import CannotMeasure
from benchmarks.matrix import BINARY, GRPC, MODEL, Form
from benchmarks.measure import target_of
from benchmarks.process import free_ports, running, wait_until_listening
from benchmarks.procfs import cpu_times
from benchmarks.results import Part
from benchmarks.ways import GATEWAY, Server
from loadtest.clients import Client
from loadtest.clock import NS, Clock, open_clock
from loadtest.generator.loops import ClosedLoopRun
from loadtest.generator.recorder import Recorder
from loadtest.payloads.sources import workload_of
from loadtest.targets.line import open_line
from model_store.store import ModelStore

KERNEL, REST = "kernel: sockets and the clock", "everything else"
_START_SECONDS = 60.0
_WRITE_SECONDS = 10.0
_LOOK_AGAIN = 0.05
_WARM_UP = 2.0
_LEAST_SHARE = 0.01  # of the samples; less is put together
_TIMEOUT = 30.0
_ROOT = Path(__file__).parent.parent.absolute()


async def anatomy(direct: Server, store: ModelStore, folder: Path, seconds: float) -> list[Part]:
    """The parts of a gateway in front of ``direct``, largest first, for each form.

    Raises:
        CannotMeasure: it does not start, or does not say.
        LoadTestError: it does not answer.
    """
    http, grpc, metrics = free_ports(3)
    config, log, counts = (folder / f"sampled.{suffix}" for suffix in ("yaml", "log", "json"))
    config.write_text(json.dumps(_config(direct, store, http, grpc, metrics)), encoding="utf-8")
    command: list[str | Path] = [sys.executable, "-P", "-m", "benchmarks.sampled", counts, "serve", "--config", config]
    found: list[Part] = []
    with running(command, log, directory=folder, environment={"PYTHONPATH": str(_ROOT)}) as process:
        server = Server(GATEWAY, "", f"127.0.0.1:{http}", f"127.0.0.1:{grpc}", process.pid)
        for address in (server.http, server.grpc):
            wait_until_listening(address, process, log, _START_SECONDS)
        for form in (BINARY, GRPC):
            found += await _sampled(server, form, store, counts, seconds)
    return found


def parts(form: str, samples: Mapping[str, int], user: float, kernel: float, requests: int) -> Iterator[Part]:
    """``user`` and ``kernel`` seconds of ``requests``, the former split as ``samples`` say; largest first."""
    total = sum(samples.values())
    shares = {name: count / total for name, count in samples.items()} if total else {}
    large = {name: share for name, share in shares.items() if share >= _LEAST_SHARE}
    seconds = {name: share * user for name, share in large.items()}
    seconds |= {KERNEL: kernel, REST: (1 - sum(large.values())) * user}
    for name, used in sorted(seconds.items(), key=lambda item: -item[1]):
        yield Part(form=form, part=name, cpu=used / requests)


async def _sampled(server: Server, form: Form, store: ModelStore, counts: Path, seconds: float) -> list[Part]:
    with open_clock() as clock:
        line = open_line(target_of(server, form), workload_of(MODEL, store), clock=clock, timeout=_TIMEOUT)
        try:
            await line.client.connect(1)
            await _load(line.client, clock, _WARM_UP)
            _begin(server, counts)
            user, kernel = cpu_times([server.pid])
            requests = await _load(line.client, clock, seconds)
            user, kernel = (now - then for now, then in zip(cpu_times([server.pid]), (user, kernel), strict=True))
            samples = _end(server, counts)
        finally:
            await line.client.close()
    if not requests:
        raise CannotMeasure(f"does not answer over {form.name}")
    return list(parts(form.name, samples, user, kernel, requests))


async def _load(client: Client, clock: Clock, seconds: float) -> int:
    """Good answers of one caller within ``seconds``."""
    recorder = Recorder(check=lambda call: bool(call.body))
    await ClosedLoopRun(client, recorder, [0], clock).run(1, 0, int(seconds * NS))
    return recorder.answers


def _begin(server: Server, counts: Path) -> None:
    counts.unlink(missing_ok=True)
    os.kill(server.pid, signal.SIGUSR1)


def _end(server: Server, counts: Path) -> Mapping[str, int]:
    os.kill(server.pid, signal.SIGUSR2)
    deadline = time.monotonic() + _WRITE_SECONDS
    while not counts.is_file():
        if time.monotonic() > deadline:
            raise CannotMeasure("does not say what it was at")
        time.sleep(_LOOK_AGAIN)
    found: dict[str, int] = json.loads(counts.read_text(encoding="utf-8"))
    return found


def _config(direct: Server, store: ModelStore, http: int, grpc: int, metrics: int) -> dict[str, object]:
    return {
        "http": {"port": http},
        "grpc": {"port": grpc},
        "metrics": {"port": metrics},
        "admin": None,
        "model_store": str(store.root.absolute()),
        "models": [MODEL],
        "parity": None,
        "backends": {"onnxruntime": {"kind": "oip", "url": f"http://{direct.http}", "grpc": direct.grpc}},
    }
