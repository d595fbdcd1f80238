"""Which log messages are written, in the terms of the Open Inference Protocol's logging extension."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(slots=True, frozen=True)
class LogSettings:
    """What is written; ``verbose_level`` above 0 writes debugging messages too."""

    error: bool = True
    warning: bool = True
    info: bool = True
    verbose_level: int = 0


class LogControl(Protocol):
    """The logging of this process."""

    @property
    def settings(self) -> LogSettings:
        """What is written now."""

    def change(self, settings: LogSettings) -> None:
        """Write this from now on."""
