"""The settings of the response cache."""

from __future__ import annotations

from pydantic import PositiveFloat, PositiveInt

from gateway.config.values import Section


class CacheConfig(Section):
    """Answers are kept for equal requests, at most ``bytes`` of them in memory, the latest used.

    Each for ``ttl`` seconds; null until it is pushed out or its model is loaded anew. ``models`` names those that
    always answer equal requests equally; null means that all do.
    """

    bytes: PositiveInt = 256 * 2**20
    ttl: PositiveFloat | None = None
    models: list[str] | None = None
