"""What it costs the gateway to be watched: the same calls while its metrics are scraped and while they are not."""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgspec

from loadtest.clock import open_clock
from loadtest.measure.rates import block_rate
from loadtest.measure.subject import Subject
from loadtest.progress import Progress
from loadtest.results.block import Block
from loadtest.results.report import Report, TargetResult
from loadtest.scenarios.measure import measure_subjects
from loadtest.scenarios.plan import Plan
from loadtest.statistics.estimate import Estimate
from loadtest.statistics.ratios import ratio_of_rates
from loadtest.targets.target import Target

CONCURRENCY = 64
SCENARIO = "scraping"
_SCRAPED = re.compile(r"(?P<target>.+), scraped every (?P<every>.+) s")


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """What a scrape ``every`` so many seconds takes from a target.

    Attributes:
        throughput: rate with the scrapes ÷ rate without, over pairs of blocks of the same moments.
    """

    target: str
    every: float
    throughput: Estimate


class Scraper:
    """Has ``page`` (a URL) fetched ``every`` so many seconds, between ``start`` and ``stop``, by another process.

    Attributes:
        problem: why it cannot be fetched; empty while it can.
    """

    def __init__(self, page: str, every: float) -> None:
        self.problem = ""
        self._page = page
        self._every = every
        self._process: Process | None = None
        self._scraping: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()

    async def start(self) -> None:
        """Begin; the first time, once the process is there."""
        if self._process is None:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "loadtest.scenarios.scraper", self._page),
                stdin=PIPE,
                stdout=PIPE,
                start_new_session=True,  # Ctrl-C is for this process, whose end it hears of
            )
            await self._fetch(self._process)
        self._stopping.clear()
        self._scraping = asyncio.create_task(self._scrape(self._process))

    async def stop(self) -> None:
        """Pause, once an answer that is under way is there."""
        self._stopping.set()
        if self._scraping is not None:
            await self._scraping

    async def close(self) -> None:
        """End the process."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
            await self._process.wait()
            self._process = None

    async def _scrape(self, process: Process) -> None:
        # A block may be shorter than the interval: then as many blocks have a scrape as should.
        pause = self._every * random.random()  # noqa: S311
        while not self.problem:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause)
                return
            await self._fetch(process)
            pause = self._every

    async def _fetch(self, process: Process) -> None:
        if process.stdin is None or process.stdout is None:
            raise RuntimeError("the scraper's pipes are missing")
        process.stdin.write(b"\n")
        line = await process.stdout.readline()
        if problem := line.decode().strip() if line else "the scraper has ended":
            self.problem = f"{self._page} cannot be scraped: {problem}"


class ScrapedSubject(Subject):
    """A target whose gateway ``scraper`` visits while it is measured."""

    def __init__(self, *arguments: Any, scraper: Scraper) -> None:
        super().__init__(*arguments)
        self._scraper = scraper

    async def measure(self, *arguments: Any, **options: Any) -> Block | None:
        await self._scraper.start()
        try:
            return await super().measure(*arguments, **options)
        finally:
            await self._scraper.stop()
            self.problem = self.problem or self._scraper.problem

    async def disconnect(self) -> None:
        await self._scraper.close()
        await super().disconnect()


def with_scraped(targets: Sequence[Target], intervals: Sequence[float]) -> list[Target]:
    """Each of ``targets`` as it is, and once more for each of ``intervals`` (seconds)."""
    return [
        variant
        for target in targets
        for variant in (
            target,
            *(replace(target, name=f"{target.name}, scraped every {every:g} s") for every in intervals),
        )
    ]


async def measure_scraped(plan: Plan, page: str, *, progress: Progress) -> Report:
    """Carry out ``plan``, whose targets are those of ``with_scraped``, while ``page`` (a URL) is fetched."""
    with open_clock() as clock, open_clock() as lag_clock:
        subjects: list[Subject] = []
        for target, workload in plan.subjects:
            arguments = (target, workload, plan.settings, clock, lag_clock, plan.first_payload(workload))
            scraped = _SCRAPED.fullmatch(target.name)
            subjects.append(
                ScrapedSubject(*arguments, scraper=Scraper(page, float(scraped["every"])))
                if scraped
                else Subject(*arguments)
            )
        return await measure_subjects(plan, subjects, progress=progress)


def costs(report: Report) -> list[Cost]:
    """What scraping took from each target that was measured with and without."""
    by_name = {target.name: target for target in report.targets if not target.problem}
    found = []
    for name, target in by_name.items():
        scraped = _SCRAPED.fullmatch(name)
        alone = by_name.get(scraped["target"]) if scraped else None
        if scraped and alone and (pairs := _pairs(target, alone)):
            ratio = ratio_of_rates(*zip(*pairs, strict=True))
            found.append(Cost(target=alone.name, every=float(scraped["every"]), throughput=ratio))
    return found


def markdown(report: Report) -> str:
    """The costs as a Markdown table for a README."""
    rows = [f"| {one.target} | {one.every:g} s | {_shown(one.throughput)} |" for one in costs(report)]
    if not rows:
        return ""
    title = f"| {report.model} | scraped every | requests/s ÷ requests/s without (95 % CI) |"
    return "\n".join([title, "|---|---:|---:|", *rows])


def _pairs(scraped: TargetResult, alone: TargetResult) -> list[tuple[float, float]]:
    """Rates in the same repetition."""
    rates = {block.repetition: block_rate(block) for block in alone.blocks}
    return [(block_rate(block), rates[block.repetition]) for block in scraped.blocks if block.repetition in rates]


def _shown(ratio: Estimate) -> str:
    interval = f" ({ratio.interval.low:.3f}–{ratio.interval.high:.3f})" if ratio.interval else ""
    return f"{ratio.value:.3f}{interval}"
