"""What goes to LoadGen's process and what comes back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from loadtest.clients import Client
from loadtest.clock import Clock
from loadtest.generator.recorder import Check
from loadtest.measure.answer_check import Sampled
from loadtest.mlperf.scenario import LoadGenSettings
from loadtest.results.block import Block, failure_counts
from loadtest.results.mlperf import MlperfSummary


@dataclass(slots=True, frozen=True)
class SystemUnderTest:
    """What LoadGen tests.

    Attributes:
        client: connected.
        check: whether an answer is good; it may keep some for ``sampled``.
        sampled: compares the answers that were kept in full; called after the test.
        library: the payload of each entry of LoadGen's sample library, of which it draws evenly.
    """

    client: Client
    check: Check
    sampled: Callable[[], Sampled]
    library: Sequence[int]


OpenSystem = Callable[[Clock], Awaitable[SystemUnderTest]]


@dataclass(slots=True, frozen=True)
class Job:
    """One test. ``open_system`` is called in LoadGen's process and connects there: a picklable function.

    It may raise ``LoadTestError``. ``directory`` takes LoadGen's logs.
    """

    open_system: OpenSystem
    settings: LoadGenSettings
    directory: Path
    repetition: int = 0


class Outcome(msgspec.Struct, frozen=True):
    """What came of it. ``problem`` is a sentence when it could not be done; ``summary`` is None when it was stopped."""

    block: Block | None = None
    summary: MlperfSummary | None = None
    problem: str = ""

    @property
    def invalid(self) -> tuple[str, ...]:
        """Why the result must not be used: LoadGen's reasons, and failed requests, of which it knows nothing."""
        reasons = () if self.summary is None or self.summary.valid else self.summary.reasons
        failures = failure_counts([self.block] if self.block else [])
        if not failures:
            return reasons
        kinds = ", ".join(f"{count} × {kind}" for kind, count in failures.items())
        return (*reasons, f"failed requests, which LoadGen takes for answers: {kinds}")
