"""Where a server stands between start and exit."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Lifecycle:
    """Live as long as the process answers; ready from the first healthy model until draining begins."""

    started: bool = False
    draining: bool = False

    @property
    def accepting(self) -> bool:
        """Whether new traffic should be sent here."""
        return self.started and not self.draining
