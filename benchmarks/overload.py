"""What a running stack does under three times the load that it can carry, and how soon it is well again.

    python -m benchmarks.overload efficientnet-lite0 --backend onnxruntime

Three parts in one schedule: at its capacity, three times that, and half of it.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.procfs import memory, reset_peak

_PARTS = (1.0, 3.0, 0.5)  # of the capacity
_CAPACITY_SECONDS = 5.0
# In the closed loops that find it, of which the better one counts: clients that are refused ask again at once, and few
# of them need not be; but servers that batch are quicker with more.
_IN_FLIGHT = (4, 16)
_INVALID = 3  # the exit code of a run that was over its own bounds, as this one is meant to be
_MOST_IN_FLIGHT = 20_000  # the schedule must go on whatever the stack does


@dataclass(slots=True, frozen=True)
class Part:
    """One part of the schedule. Rates are in requests a second, times in seconds; ``rate`` is what was asked."""

    rate: float
    goodput: float
    refused: float
    p50: float
    p99: float


def parts(rows: Iterable[Mapping[str, str]], rates: Sequence[float], seconds: float) -> list[Part]:
    """Each part of a schedule with ``rates``, for ``seconds`` each; ``rows`` are what ``--export requests`` writes.

    A request belongs to the part in which it was due, and its time counts from then; but an answer is to the credit of
    the part in which it came.
    """
    due, done, failed = _columns(rows)
    found = []
    for number, rate in enumerate(rates):
        inside = (due >= number * seconds) & (due < (number + 1) * seconds)
        answered = (done >= number * seconds) & (done < (number + 1) * seconds) & ~failed
        times = (done - due)[inside & ~failed]
        p50, p99 = np.quantile(times, [0.5, 0.99]) if times.size else (np.inf, np.inf)
        refused = float((inside & failed).sum()) / max(1, int(inside.sum()))
        found.append(Part(rate, int(answered.sum()) / seconds, refused, float(p50), float(p99)))
    return found


def recovery(rows: Iterable[Mapping[str, str]], since: float, slow: float) -> float:
    """Seconds after ``since`` until no request fails or takes more than ``slow`` seconds any more."""
    due, done, failed = _columns(rows)
    bad = (failed | (done - due > slow)) & (due >= since)
    return float(due[bad].max() - since) if bad.any() else 0.0


def table(found: Sequence[Part], capacity: float) -> str:
    """``found`` beside the best that there was, on lines of less than 80 columns."""
    peak = max(capacity, *(part.goodput for part in found))
    lines = [f"{'asked /s':>9} {'good /s':>9} {'of peak':>8} {'failed':>8} {'p50 ms':>9} {'p99 ms':>9}"]
    for part in found:
        times = f"{part.p50 * 1000:9.1f} {part.p99 * 1000:9.1f}"
        lines.append(f"{part.rate:9.1f} {part.goodput:9.1f} {part.goodput / peak:8.1%} {part.refused:8.2%} {times}")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what runs in the run directory, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.overload", description=__doc__.partition("\n")[0])
    parser.add_argument("model")
    parser.add_argument("--backend", required=True)
    parser.add_argument("--payload", action="append", default=[], help="as of `loadtest run`, repeatable")
    parser.add_argument("--seconds", type=float, default=60.0, help="for each of the three parts (60)")
    parser.add_argument("--run-dir", type=Path, default=Path(".gateway"), help="of `gateway up`")
    asked = parser.parse_args(arguments)
    command = ["run", asked.model, "--backend", asked.backend, "--run-dir", str(asked.run_dir)]
    command += [part for payload in asked.payload for part in ("--payload", payload)]
    gateway = [_gateway_pid(asked.run_dir)]
    capacity, in_flight = max((_throughput(command, in_flight), in_flight) for in_flight in _IN_FLIGHT)
    rates = [round(capacity * share, 1) for share in _PARTS]
    steps = ["--load", "steps:" + ",".join(map(str, rates)), "--duration", str(asked.seconds * len(rates))]
    reset_peak(gateway)
    before, _ = memory(gateway)
    _, rows = _load_test([*command, *steps, "--max-errors", "1", "--max-in-flight", str(_MOST_IN_FLIGHT), "--force"])
    after, peak = memory(gateway)
    found = parts(rows, rates, asked.seconds)
    seconds = recovery(rows, asked.seconds * 2, 2 * found[0].p99)
    mebibytes = [round(size / 2**20) for size in (before, peak, after)]
    print(  # noqa: T201
        f"{asked.model} on {asked.backend}, {asked.seconds:g} s a part: "
        f"{capacity:.1f}/s with {in_flight} in flight\n{table(found, capacity)}\n"
        "gateway's resident MiB before, at most, after: {}, {}, {}\n".format(*mebibytes)
        + f"well again {seconds:.2f} s after it: nothing fails or takes over twice the p99 at capacity"
    )


def _throughput(command: Sequence[str], in_flight: int) -> float:
    """Answers a second to so many clients, each of whom asks again when it has one."""
    closed = ["--concurrency", str(in_flight), "--duration", str(_CAPACITY_SECONDS), "--max-errors", "1"]
    value: float = _load_test([*command, *closed])[0]["loads"][0]["targets"][0]["throughput"]["value"]
    return value


def _columns(
    rows: Iterable[Mapping[str, str]],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """When each request was due and done, in seconds, and whether it failed."""
    # What failed was not done at any time.
    listed = [(int(row["scheduled_ns"]), int(row["done_ns"] or 0), bool(row["failure"])) for row in rows]
    due, done, failed = (np.array(column) for column in zip(*listed, strict=True))
    return due / 1e9, done / 1e9, failed.astype(bool)


def _load_test(arguments: Sequence[str]) -> tuple[dict[str, Any], list[dict[str, str]]]:
    """What ``loadtest`` says of a run, and every request of it."""
    program = Path(sys.executable).parent / "loadtest"
    with tempfile.TemporaryDirectory() as directory:
        command = [str(program), *arguments, "--output", directory, "--json", "--export", "requests"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode not in (0, _INVALID):
            raise SystemExit(f"{' '.join(command)}: {done.stderr.strip()}")
        (exported,) = Path(directory).glob("*.requests.csv")
        with exported.open(newline="", encoding="utf-8") as file:
            return json.loads(done.stdout), list(csv.DictReader(file))


def _gateway_pid(run_dir: Path) -> int:
    program = Path(sys.executable).parent / "gateway"
    command = [str(program), "status", "--json", "--run-dir", str(run_dir)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr.strip())
    pid: int = json.loads(done.stdout)["gateway"]["pid"]
    return pid


if __name__ == "__main__":
    main()
