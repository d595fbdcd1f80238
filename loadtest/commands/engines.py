"""Other ways to make the load: MLPerf's own generator, and workers on other hosts."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

from loadtest.commands.carrying_out import Work
from loadtest.commands.ending import err
from loadtest.errors import BadSpec
from loadtest.progress import console_progress
from loadtest.results.report import Report
from loadtest.scenarios.plan import Plan


class Engine(StrEnum):
    """Who makes the load."""

    OWN = "own"
    MLPERF = "mlperf"


def work_of(engine: Engine, ray: str, output: Path) -> Work | None:
    """How to carry out a plan; None for the usual way.

    Raises:
        BadSpec: both were asked for.
    """
    if ray and engine is Engine.MLPERF:
        raise BadSpec("--ray: MLPerf's generator makes all load on one machine; leave out one of the two")
    if engine is Engine.MLPERF:
        return _mlperf(output)
    return _distributed(ray) if ray else None


def _mlperf(output: Path) -> Work:
    async def work(plan: Plan) -> Report:
        from loadtest.scenarios.mlperf import measure_with_mlperf

        return await measure_with_mlperf(plan, output, progress=console_progress(err))

    return work


def _distributed(address: str) -> Work:
    async def work(plan: Plan) -> Report:
        from loadtest.scenarios.distributed import measure_on_ray

        return await measure_on_ray(plan, address, progress=console_progress(err))

    return work
