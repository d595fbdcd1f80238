"""A plan carried out by the workers of a Ray cluster."""

from __future__ import annotations

import msgspec

from loadtest.distributed.cluster import RayWorkers
from loadtest.distributed.subject import SharedSubject, check_shareable
from loadtest.progress import Progress
from loadtest.results.report import Report
from loadtest.scenarios.measure import measure_subjects
from loadtest.scenarios.plan import Plan


async def measure_on_ray(plan: Plan, address: str, *, progress: Progress) -> Report:
    """Carry out ``plan`` from every node of the cluster at ``address``; the workers share one seeded schedule.

    Raises:
        Unusable: Ray is not installed, there is no such cluster, or a load cannot be shared.
    """
    progress(f"Starting workers on {address}")
    async with RayWorkers(address) as workers:
        for load in plan.loads:
            check_shareable(load, len(workers.workers))
        hosts = workers.hosts
        subjects = [
            SharedSubject(target, workload, plan.settings, workers, plan.first_payload(workload))
            for target, workload in plan.subjects
        ]
        report = await measure_subjects(plan, subjects, progress=progress)
    return msgspec.structs.replace(report, workers=hosts)
