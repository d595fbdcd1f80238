"""The report of a plan that was carried out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from loadtest.load.loads import AnyLoad
from loadtest.results.machine import StolenTime, this_environment
from loadtest.results.payload_entries import payload_entries
from loadtest.results.report import Report, TargetResult
from loadtest.scenarios.plan import Plan


@dataclass(slots=True)
class Record:
    """What is known beside the blocks: since when, and under which loads."""

    plan: Plan
    loads: list[AnyLoad] = field(default_factory=list)
    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    stolen: StolenTime = field(default_factory=StolenTime)

    def add(self, load: AnyLoad) -> None:
        """``load`` is put on now."""
        if load not in self.loads:
            self.loads.append(load)

    def report(self, targets: Sequence[TargetResult], *, interrupted: bool = False) -> Report:
        """The report of the blocks that ``targets`` hold."""
        plan, settings = self.plan, self.plan.settings
        models = {(model.name, model.version): model for workload in plan.workloads for model in workload.models}
        return Report(
            scenario=plan.scenario,
            model="+".join(dict.fromkeys(name for name, _ in models)),
            version="+".join(dict.fromkeys(version for _, version in models if version)),
            payloads=tuple(entry for workload in plan.workloads for entry in payload_entries(workload)),
            started=self.started.isoformat(timespec="seconds"),
            seconds=settings.seconds,
            until=plan.until.spec if plan.until else "",
            seeds=settings.seeds,
            timeout=settings.timeout,
            most_in_flight=settings.most_in_flight,
            error_limit=plan.error_limit,
            forced=plan.force,
            interrupted=interrupted,
            stolen_cpu=self.stolen.share(),
            environment=this_environment(
                {f"{name}/{version}": model.checksums for (name, version), model in models.items() if model.checksums}
            ),
            calibrations=tuple(plan.calibrations),
            loads=tuple(self.loads),
            targets=tuple(targets),
        )
