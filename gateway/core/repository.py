"""The models that could be served, and the control over which of them are."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class ModelState(StrEnum):
    """States in Triton's words."""

    READY = "READY"
    LOADING = "LOADING"
    UNLOADING = "UNLOADING"
    UNAVAILABLE = "UNAVAILABLE"


@dataclass(slots=True, frozen=True)
class ModelEntry:
    """One version of a model in the repository; ``reason`` says why it is not ready."""

    name: str
    version: str
    state: ModelState
    reason: str = ""


class Repository(Protocol):
    """Lists models, and loads and unloads them through the backends' own model control."""

    def index(self) -> list[ModelEntry]:
        """Every model known, whether it is served or not."""

    async def load(self, name: str) -> None:
        """Serve ``name``, or load it anew; returns when it can answer.

        Raises:
            ModelNotFound: no such model in the repository.
            Unsupported: none of its backends has model control.
            Conflict: it is being loaded or unloaded by somebody else.
        """

    async def unload(self, name: str) -> None:
        """Serve ``name`` no more; raises as ``load``."""
