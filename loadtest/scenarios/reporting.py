"""The report of a plan that was carried out."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cached_property

from loadtest.load.loads import AnyLoad
from loadtest.payloads.workload import MeasuredModel
from loadtest.results.environment import Environment
from loadtest.results.machine import StolenTime, this_environment
from loadtest.results.payload_entries import payload_entries
from loadtest.results.report import PayloadEntry, Report, TargetResult
from loadtest.scenarios.plan import Plan


class Record:
    """What is known beside the blocks: since when, and under which ``loads``. A search asks for many reports of it."""

    def __init__(self, plan: Plan) -> None:
        self.loads: list[AnyLoad] = []
        self._plan = plan
        self._started = datetime.now(UTC)
        self._stolen = StolenTime()

    def add(self, load: AnyLoad) -> None:
        """``load`` is put on now."""
        if load not in self.loads:
            self.loads.append(load)

    def report(self, targets: Sequence[TargetResult], *, interrupted: bool = False) -> Report:
        """The report of the blocks that ``targets`` hold."""
        plan, settings, models = self._plan, self._plan.settings, self._models
        return Report(
            scenario=plan.scenario,
            model="+".join(dict.fromkeys(name for name, _ in models)),
            version="+".join(dict.fromkeys(version for _, version in models if version)),
            payloads=self._payloads,
            started=self._started.isoformat(timespec="seconds"),
            seconds=settings.seconds,
            until=plan.until.spec if plan.until else "",
            seeds=settings.seeds,
            timeout=settings.timeout,
            most_in_flight=settings.most_in_flight,
            error_limit=plan.error_limit,
            forced=plan.force,
            interrupted=interrupted,
            stolen_cpu=self._stolen.share(),
            environment=self._environment,
            calibrations=tuple(plan.calibrations),
            loads=tuple(self.loads),
            targets=tuple(targets),
        )

    @cached_property
    def _models(self) -> dict[tuple[str, str], MeasuredModel]:
        """Each model once, by name and version."""
        found = (model for workload in self._plan.workloads for model in workload.models)
        return {(model.name, model.version): model for model in found}

    @cached_property
    def _payloads(self) -> tuple[PayloadEntry, ...]:
        return tuple(entry for workload in self._plan.workloads for entry in payload_entries(workload))

    @cached_property
    def _environment(self) -> Environment:
        named = {f"{name}/{version}": model.checksums for (name, version), model in self._models.items()}
        return this_environment({name: checksums for name, checksums in named.items() if checksums})
