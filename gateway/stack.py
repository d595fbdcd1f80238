"""The whole path of a request, from top to bottom, built once at start.

trace → metrics → deadline → route ┬→ statistics → process → validate → retry → balance ┬→ attempt metrics → backend
                                   └→ … one for each model                              └→ … one for each backend
"""

from __future__ import annotations

from collections.abc import Mapping

from gateway.core.backend import Backend
from gateway.core.catalog import Catalog, ServedModel
from gateway.core.service import Service
from gateway.filters.attempt_metrics import AttemptMetrics
from gateway.filters.balance import Balance
from gateway.filters.deadline import Deadline
from gateway.filters.metrics import Metrics
from gateway.filters.process import Process
from gateway.filters.retry import RetryOnConnectFailure
from gateway.filters.route import Route
from gateway.filters.statistics import Statistics
from gateway.filters.trace import Trace
from gateway.filters.validate import Validate
from gateway.telemetry.metrics import GatewayMetrics


def build_stack(
    catalog: Catalog, backends: Mapping[str, Backend], metrics: GatewayMetrics, *, default_timeout: float
) -> Service:
    """The Service behind all front doors. ``default_timeout`` in seconds, for clients that name none."""
    service: Service = Route(catalog, {model.name: _model_stack(model, backends, metrics) for model in catalog})
    service = Deadline(service, default_timeout)  # inside metrics, so that an expired request is counted as one
    service = Metrics(service, metrics)  # outside all that can fail, so that every outcome is seen
    return Trace(service)  # first of all: whatever happens below carries the id


def _model_stack(model: ServedModel, backends: Mapping[str, Backend], metrics: GatewayMetrics) -> Service:
    endpoints = [
        # Attempt metrics stand next to the wire: they see one backend and none of the gateway's own waiting.
        (endpoint, AttemptMetrics(backends[endpoint.backend], endpoint, metrics.attempts(endpoint.backend)))
        for endpoint in model.endpoints
    ]
    service: Service = Balance(model.name, endpoints)
    service = RetryOnConnectFailure(service, metrics)  # above balance, so that the second try chooses anew
    service = Validate(service, model.signature, model.version, model.max_batch_size)  # before anything is sent
    if model.prepare is not None:  # above validate, which then sees the tensors; nothing for models without
        service = Process(service, model.prepare, model.signature, model.max_batch_size)
    return Statistics(service, model.statistics, batched=model.max_batch_size > 0)  # counts refusals as failures too
