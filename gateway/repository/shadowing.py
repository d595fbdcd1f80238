"""Shadows and comparisons of one process: what they share, and how far apart the store lets two servers be."""

from __future__ import annotations

from gateway.core.catalog import Catalog
from gateway.core.copies import Copies
from gateway.core.datatypes import Datatype
from gateway.core.differences import Allowed
from gateway.core.mirror_tally import MirrorFindings
from gateway.core.mismatches import Mismatches
from gateway.filters.mirror import Mirroring
from gateway.telemetry.shadow_metrics import ShadowMetrics
from model_store.parity.tolerance import Tolerance

_MEMORY = 64 * 2**20  # bytes, for copies under way and again for the mismatches that are kept
_SIDES = 2  # two engines, each near enough to the source, may stand on opposite sides of it


def mirroring(catalog: Catalog, metrics: ShadowMetrics) -> Mirroring:
    """What the mirrors of all models of the process share, with nothing in it yet."""
    return Mirroring(catalog, Copies(_MEMORY), MirrorFindings(Mismatches(_MEMORY)), metrics.of)


def allowed_between_servers(tolerance: Tolerance) -> Allowed:
    """How far apart two of them may be that are each within ``tolerance`` of the source."""

    def allowed(datatype: Datatype, scale: float) -> float:
        return _SIDES * tolerance.allowed(datatype, scale)

    return allowed
