"""Which requests the gateway may join, by the configuration."""

from __future__ import annotations

from gateway.config.backends import EmbeddedBackend
from gateway.config.settings import GatewayConfig
from gateway.filters.batch import BatchLimits


def batch_limits(settings: GatewayConfig, backend: str, model: str) -> BatchLimits | None:
    """Bounds for the batches of ``model`` on ``backend``; None where requests go as they come.

    An engine in this process has a queue of its own and no call whose cost requests could share.
    """
    server = settings.backends[backend]
    if isinstance(server, EmbeddedBackend) or server.batching is None or not server.takes_batches(model):
        return None
    batching = server.batching
    return BatchLimits(
        rows=batching.max_rows,
        nbytes=batching.max_bytes,
        queue=batching.queue_size,
        least_lanes=batching.lanes.min,
        most_lanes=batching.lanes.max,
    )
