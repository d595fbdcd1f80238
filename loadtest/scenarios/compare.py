"""Every backend, through the gateway and directly, under closed and open loops."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from loadtest.clock import open_clock
from loadtest.experiment import Experiment
from loadtest.machine import StolenTime, this_machine
from loadtest.progress import Progress
from loadtest.results import ClosedLoop, OpenLoop, Report, TargetResult
from loadtest.samples import MeasuredModel
from loadtest.subject import Settings
from loadtest.summary import throughput
from loadtest.targets import Target

# Open loops run at this share of the slowest target's capacity: the same rate for all, and one that all can bear.
_LOAD_FACTOR = 0.5


@dataclass(slots=True, frozen=True)
class Loads:
    """Which loads to put on: closed loops by ``concurrency``, then an open loop.

    Attributes:
        rate: requests a second of the open loop; None: half of what the slowest target reached in the closed loops;
            0: no open loop.
    """

    concurrency: tuple[int, ...]
    rate: float | None


async def run_compare(
    scenario: str,
    model: MeasuredModel,
    targets: Sequence[Target],
    loads: Loads,
    settings: Settings,
    progress: Progress,
) -> Report:
    """Measure ``targets``. A cancellation ends the measurement, and the report says so."""
    started = datetime.now(UTC).isoformat(timespec="seconds")
    phases: list[ClosedLoop | OpenLoop] = []
    interrupted = False
    stolen = StolenTime()
    with open_clock() as clock:
        experiment = Experiment(model, targets, settings, clock=clock, progress=progress)
        try:
            await experiment.prepare(max(loads.concurrency, default=1))
            for concurrency in loads.concurrency:
                phases.append(ClosedLoop(name=f"closed-{concurrency}", concurrency=concurrency))
                await experiment.run(phases[-1])
            rate = _default_rate(experiment.results) if loads.rate is None else loads.rate
            if rate:
                phases.append(OpenLoop(name=f"open-{rate:g}", rate=rate))
                await experiment.run(phases[-1])
        except asyncio.CancelledError:
            interrupted = True
        finally:
            progress("")
            await experiment.close()
    return Report(
        scenario=scenario,
        model=model.name,
        version=model.version,
        started=started,
        seconds=settings.seconds,
        seed=settings.seed,
        interrupted=interrupted,
        stolen_cpu=stolen.share(),
        machine=this_machine(),
        phases=tuple(phases),
        targets=experiment.results,
    )


def _default_rate(results: Sequence[TargetResult]) -> float:
    """A rate with two significant digits; 0 when nothing was measured."""
    capacities = [
        max(throughput([block for block in result.blocks if block.phase == phase]) for phase in phases)
        for result in results
        if (phases := {block.phase for block in result.blocks}) and not result.problem
    ]
    return float(f"{_LOAD_FACTOR * min(capacities, default=0.0):.2g}")
