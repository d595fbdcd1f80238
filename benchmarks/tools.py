"""Service times of the same requests through other people's load testers, where they are installed."""

from __future__ import annotations

import csv
import random
import shutil
import statistics
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.matrix import BINARY, GRPC, MODEL, Effort, Form
from benchmarks.results import ToolTimes
from benchmarks.ways import DIRECT, Server
from loadtest.payloads.sources import workload_of
from loadtest.statistics.quantiles import percentile
from loadtest.targets.wires import FORMS, Message
from model_store.store import ModelStore

_SHARES = (0.5, 0.99)
_MORE_SECONDS = 60.0  # than asked for
_METHOD = FORMS[GRPC.wire, GRPC.protocol].method


class Times(NamedTuple):
    """Percentiles in seconds, and requests a second."""

    p50: float
    p99: float
    throughput: float


@dataclass(slots=True, frozen=True)
class Load:
    """What a tool is asked for; ``folder`` is for its files."""

    message: Message
    connections: int
    seconds: int
    folder: Path


@dataclass(slots=True, frozen=True)
class Tool:
    """``measure`` is given the address of a server."""

    name: str
    form: Form
    measure: Callable[[str, Load], Times]


def tool_times(servers: Sequence[Server], store: ModelStore, effort: Effort) -> list[ToolTimes]:
    """The smallest request of each tool's form to each of ``servers``, which take turns."""
    payload = workload_of(MODEL, store).payloads[0]
    found = []
    for tool in (tool for tool in TOOLS if shutil.which(tool.name)):
        message = FORMS[tool.form.wire, tool.form.protocol].encode(payload)
        for number in effort.connections:
            with tempfile.TemporaryDirectory() as folder:
                load = Load(message, number, effort.tool_seconds, Path(folder))
                found += _in_turns(tool, servers, load, effort.tool_rounds)
    return found


def wrk_script(message: Message, body: Path) -> str:
    """For wrk: send ``message``, whose body is in the file ``body``, and print what it measures, times in µs."""
    headers = [f'wrk.headers["{name}"] = "{value}"' for name, value in message.headers.items()]
    lines = [
        'wrk.method = "POST"',
        f'local file = io.open("{body}", "rb")',
        'wrk.body = file:read("*a")',
        *headers,
        "done = function(summary, latency, requests)",
        "  local rate = summary.requests / summary.duration * 1e6",
        "  local p50, p99 = latency:percentile(50), latency:percentile(99)",
        '  io.write(string.format("measured %d %d %f\\n", p50, p99, rate))',
        "end",
    ]
    return "\n".join(lines) + "\n"


def _in_turns(tool: Tool, servers: Sequence[Server], load: Load, rounds: int) -> list[ToolTimes]:
    times: dict[str, list[Times]] = {server.name: [] for server in servers}
    for _ in range(rounds):
        for server in random.sample(servers, len(servers)):
            address = server.http if tool.form.protocol == "HTTP" else server.grpc
            times[server.name].append(tool.measure(address, load))
    return [
        ToolTimes(
            tool=tool.name,
            server=name,
            form=tool.form.name,
            connections=load.connections,
            p50=statistics.median(one.p50 for one in found),
            p99=statistics.median(one.p99 for one in found),
            throughput=statistics.median(one.throughput for one in found),
            rate_ratio=_ratio(found, times[DIRECT]) if name != DIRECT else None,
        )
        for name, found in times.items()
    ]


def _ratio(times: Sequence[Times], direct: Sequence[Times]) -> float:
    """How the throughput compares within the same round."""
    return statistics.median(one.throughput / other.throughput for one, other in zip(times, direct, strict=True))


def _wrk(address: str, load: Load) -> Times:
    """https://github.com/wg/wrk."""
    body, script = load.folder / "body", load.folder / "script.lua"
    body.write_bytes(load.message.body)
    script.write_text(wrk_script(load.message, body), encoding="utf-8")
    options = ["-t1", f"-c{load.connections}", f"-d{load.seconds}s", "-s", str(script)]
    printed = _output(["wrk", *options, f"http://{address}{load.message.path}"], load)
    line = next(line for line in printed.splitlines() if line.startswith("measured "))
    p50, p99, rate = (float(number) for number in line.split()[1:])
    return Times(p50 / 1e6, p99 / 1e6, rate)


def _h2load(address: str, load: Load) -> Times:
    """https://nghttp2.org; one connection, as many streams as there are requests in flight."""
    body, log = load.folder / "body", load.folder / "log"
    body.write_bytes(b"\0" + len(load.message.body).to_bytes(4, "big") + load.message.body)
    log.unlink(missing_ok=True)  # it would go on at its end
    streams = ["-c1", f"-m{load.connections}", f"-D{load.seconds}"]
    headers = ["-H", "content-type: application/grpc", "-H", "te: trailers"]
    files = [f"--data={body}", f"--log-file={log}"]
    _output(["h2load", *streams, *headers, *files, f"http://{address}{_METHOD}"], load)
    with log.open(newline="") as file:
        began, took = np.array([(int(row[0]), int(row[2])) for row in csv.reader(file, delimiter="\t")]).T / 1e6
    p50, p99 = (percentile(np.sort(took), share) for share in _SHARES)
    return Times(p50, p99, took.size / float((began + took).max() - began.min()))


def _output(command: Sequence[str], load: Load) -> str:
    limit = load.seconds + _MORE_SECONDS
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=limit).stdout


TOOLS = (Tool("wrk", BINARY, _wrk), Tool("h2load", GRPC, _h2load))
