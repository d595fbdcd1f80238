"""A repository whose models stay as they are."""

from __future__ import annotations

from gateway.core.errors import Unsupported
from gateway.core.repository import ModelEntry, Repository


class FixedRepository:
    """Lists what ``repository`` lists and changes nothing: of several workers, one must not serve other models."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository

    def index(self) -> list[ModelEntry]:
        """As the repository."""
        return self._repository.index()

    async def load(self, name: str, *, max_batch_size: int | None = None) -> None:  # noqa: ARG002
        """Refuse; raises Unsupported."""
        raise _refusal(name)

    async def unload(self, name: str) -> None:
        """Refuse; raises Unsupported."""
        raise _refusal(name)


def _refusal(name: str) -> Unsupported:
    return Unsupported(
        f"model {name!r}: with several workers, models are not loaded and unloaded one by one; "
        "set `models` in the configuration and restart, or use `workers: 1`"
    )
