"""How to measure."""

from __future__ import annotations

from dataclasses import dataclass

from loadtest.clock import NS
from loadtest.load.seeds import Seeds

# The part of a block that runs before its window, as a share of the window; and its limits in seconds.
_LEAD_IN = 0.2
_LONGEST_LEAD_IN = 1.0


@dataclass(slots=True, frozen=True)
class Settings:
    """The same for every target.

    Attributes:
        seconds: measured time for each target and load, over all repetitions.
        repetitions: blocks that time is split into.
        timeout: seconds after which a request has failed.
        most_in_flight: unanswered requests at which an open loop gives up.
        seeds: fix arrivals, payloads and orders.
    """

    seconds: float
    repetitions: int
    timeout: float
    most_in_flight: int
    seeds: Seeds

    @property
    def window(self) -> int:
        """Length of one block's window in ns."""
        return int(self.seconds / self.repetitions * NS)


def lead_in(window: int) -> int:
    """Time of load in ns before a window of ``window`` ns opens."""
    return min(int(_LEAD_IN * window), int(_LONGEST_LEAD_IN * NS))
