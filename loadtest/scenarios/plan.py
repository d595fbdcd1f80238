"""What is to be measured, decided before anything is sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from loadtest.errors import Unusable
from loadtest.load.loads import AnyLoad, ClosedLoop, MultiStream, Trace
from loadtest.load.schedule import due_times, natural_seconds
from loadtest.measure.gates import CEILING_SHARE
from loadtest.measure.settings import Settings
from loadtest.payloads.workload import Payload, Workload
from loadtest.results.report import Calibration
from loadtest.statistics.convergence import Until
from loadtest.targets.target import Target


@dataclass(slots=True, frozen=True, kw_only=True)
class Plan:
    """One run of a scenario.

    Attributes:
        scenario: the command.
        subjects: every target with the workload it is sent; batch sweeps have a target several times.
        loads: one after the other, each for all targets.
        half_rate: add an open loop at half of what the slowest target reached in the closed loops.
        until: stop early when this holds for every target.
        restart: shell command between outer repetitions; empty for one repetition.
        restarts: outer repetitions.
        error_limit: largest share of failed requests of a valid run.
        force: allow rates near the tester's ceiling.
    """

    scenario: str
    subjects: Sequence[tuple[Target, Workload]]
    loads: Sequence[AnyLoad]
    settings: Settings
    half_rate: bool = False
    until: Until | None = None
    restart: str = ""
    restarts: int = 1
    error_limit: float = 0.01
    force: bool = False
    calibrations: Sequence[Calibration] = field(default=())

    @property
    def payloads(self) -> list[Payload]:
        """The payloads of all workloads, each workload's once."""
        return [payload for workload in self.workloads for payload in workload.payloads]

    @property
    def workloads(self) -> list[Workload]:
        """Each workload once, in order."""
        return list({id(workload): workload for _, workload in self.subjects}.values())

    def first_payload(self, workload: Workload) -> int:
        """Number of the first payload of ``workload`` among ``payloads``."""
        before = self.workloads[: [id(one) for one in self.workloads].index(id(workload))]
        return sum(len(one.payloads) for one in before)

    @property
    def most_callers(self) -> int:
        """Requests in flight of the widest closed loop, for the warm-up."""
        widths = [
            load.concurrency if isinstance(load, ClosedLoop) else load.streams
            for load in self.loads
            if isinstance(load, ClosedLoop | MultiStream)
        ]
        return max(widths, default=4)

    def check_rates(self) -> None:
        """Refuse rates that the tester cannot make without measuring itself.

        Raises:
            Unusable: a rate is too near the ceiling and is not forced.
        """
        if self.force:
            return
        for one in self.calibrations:
            if not any(target.protocol == one.transport for target, _ in self.subjects):
                continue
            limit = CEILING_SHARE * one.ceiling
            for load in self.loads:
                rate = _peak_rate(load)
                if rate > limit:
                    raise Unusable(
                        f"{load.spec}: {rate:,.0f} requests/s are above 70 % of what this tester can make over "
                        f"{one.transport} here ({one.ceiling:,.0f}/s); use --ray for more machines, or --force"
                    )


def _peak_rate(load: AnyLoad) -> float:
    """The highest rate that ``load`` asks for; 0 where the server sets it."""
    if isinstance(load, Trace):
        seconds = natural_seconds(load) or 1.0
        return len(due_times(load, seconds, 0)) / seconds
    return load.peak_rate or 0.0
