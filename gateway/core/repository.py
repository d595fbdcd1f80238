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
    """One version of a model in the repository; ``reason`` says why it is not ready, or not on every backend."""

    name: str
    version: str
    state: ModelState
    reason: str = ""


class Repository(Protocol):
    """Lists models, and loads and unloads them through the backends' own model control."""

    def index(self) -> list[ModelEntry]:
        """Every model known, whether it is served or not."""

    async def load(self, name: str, *, max_batch_size: int | None = None) -> None:
        """Serve ``name``, or load it anew; returns when it can answer. What answers now does so until then.

        ``max_batch_size`` takes the place of the model's own until it is loaded again; the backends keep theirs.

        Raises:
            ModelNotFound: no such model in the repository.
            Unsupported: none of its backends has model control.
            Conflict: it is being loaded or unloaded by somebody else.
            Unavailable: it was loaded and no backend is ready for it, or its files cannot be used.
        """

    async def unload(self, name: str) -> None:
        """Serve ``name`` no more; requests that came before are answered. Raises as ``load``."""
