"""Who gives requests their place in a trace: with tracing switched off, or on."""

from __future__ import annotations

from gateway.config.file import ConfigError
from gateway.config.settings import TracingConfig
from gateway.core.tracing import Tracer
from gateway.telemetry.propagation import Propagation


def open_tracer(settings: TracingConfig | None) -> Tracer:
    """The tracer that the section ``tracing`` asks for; None is one that is not there.

    Raises:
        ConfigError: it asks for OpenTelemetry, which is not installed.
    """
    if settings is None:
        return Propagation()
    try:
        from gateway.telemetry.otel import OpenTelemetryTracer
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"tracing: {error.name} is not installed; install it with: pip install 'serving-gateway[otel]'"
        ) from None
    return OpenTelemetryTracer(settings)
