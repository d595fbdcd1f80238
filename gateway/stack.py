"""The whole path of a request, from top to bottom, built once at start.

trace → access log → metrics → deadline → route ┬→ statistics → process → validate → retry → balance
                                                └→ … one for each model

and from balance to each backend: attempt trace → attempt metrics → backend
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from gateway.core.backend import Backend, Endpoint
from gateway.core.catalog import Catalog, ServedModel
from gateway.core.service import Service
from gateway.filters.access_log import AccessLog
from gateway.filters.attempt_metrics import AttemptMetrics
from gateway.filters.attempt_trace import AttemptTrace
from gateway.filters.balance import Balance, Candidate
from gateway.filters.deadline import Deadline
from gateway.filters.metrics import Metrics
from gateway.filters.process import Process
from gateway.filters.retry import RetryOnConnectFailure
from gateway.filters.route import Route
from gateway.filters.statistics import Statistics
from gateway.filters.trace import Trace
from gateway.filters.validate import Validate
from gateway.telemetry.access_log import AccessLines
from gateway.telemetry.metrics import GatewayMetrics


def build_stack(
    catalog: Catalog, metrics: GatewayMetrics, access: AccessLines, *, access_sample: float, default_timeout: float
) -> Service:
    """The Service behind all front doors.

    ``access_sample`` is the share of good requests that are logged; ``default_timeout`` in seconds, for clients that
    name none.
    """
    service: Service = Route(catalog)
    service = Deadline(service, default_timeout)  # inside metrics, so that an expired request is counted as one
    service = Metrics(service, metrics)  # outside all that can fail, so that every outcome is seen
    service = AccessLog(service, access, access_sample)  # beside metrics, and for the same reason
    return Trace(service)  # outermost, so that it sees the request as the client sent it


def with_stack(model: ServedModel, backends: Mapping[str, Backend], metrics: GatewayMetrics) -> ServedModel:
    """``model`` with its own part of the stack."""
    service: Service = Balance(
        model.name, [_candidate(endpoint, backends[endpoint.backend], metrics) for endpoint in model.endpoints]
    )
    service = RetryOnConnectFailure(service, metrics)  # above balance, so that the second try chooses anew
    service = Validate(service, model)  # before anything is sent
    if model.prepare is not None:  # above validate, which then sees the tensors; nothing for models without
        service = Process(service, model.prepare, model.signature, model.max_batch_size)
    service = Statistics(service, model.statistics, batched=model.signature.batched)  # counts refusals as failures too
    return replace(model, service=service)


def _candidate(endpoint: Endpoint, backend: Backend, metrics: GatewayMetrics) -> Candidate:
    # Attempt metrics stand next to the wire: they see one backend and none of the gateway's own waiting.
    service: Service = AttemptMetrics(backend, endpoint, metrics.attempts(endpoint.backend))
    service = AttemptTrace(service, endpoint, "internal" if backend.kind == "embedded" else "client")
    return Candidate(endpoint, backend, service)
