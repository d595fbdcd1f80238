"""The settings that the Open Inference Protocol lets clients read, and some change: of logging and of tracing.

Source: triton-inference-server/server, docs/protocol/extension_logging.md and extension_trace.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.core.errors import InvalidRequest, Unsupported
from gateway.core.log_settings import LogControl, LogSettings

# The protocol's tracing writes files; the gateway has none of it, and passes on W3C trace contexts in its place.
TRACE_SETTINGS: Mapping[str, str | list[str]] = {
    "trace_level": ["OFF"],
    "trace_rate": "1000",
    "trace_count": "-1",
    "log_frequency": "0",
    "trace_file": "",
    "trace_mode": "triton",
}
NO_TRACING = "requests are not traced into files; the gateway passes on the traceparent header"

# Where messages go and how their time is written is settled at the start.
_FIXED: Mapping[str, object] = {"log_file": "", "log_format": "ISO8601"}
_FLAGS = {"log_info": "info", "log_warning": "warning", "log_error": "error"}
_VERBOSE = "log_verbose_level"
_MAX_VERBOSE = 2**31 - 1


def log_settings(logs: LogControl) -> dict[str, Any]:
    """The document of the log settings."""
    now = logs.settings
    flags = {name: getattr(now, field) for name, field in _FLAGS.items()}
    return {"log_file": "", **flags, _VERBOSE: now.verbose_level, "log_format": _FIXED["log_format"]}


def change_log_settings(logs: LogControl, wanted: Mapping[str, object]) -> None:
    """Change those of the settings that ``wanted`` holds and that are not None.

    Raises:
        InvalidRequest: an unknown setting, or a value of the wrong type.
        Unsupported: the setting cannot be changed while the gateway runs.
    """
    values = {field: getattr(logs.settings, field) for field in ("error", "warning", "info", "verbose_level")}
    for name, value in wanted.items():
        if value is None or (name in _FIXED and value == _FIXED[name]):
            continue
        if name in _FIXED:
            raise Unsupported(f"{name}: it cannot be changed while the gateway runs")
        if name in _FLAGS:
            if not isinstance(value, bool):
                raise InvalidRequest(f"{name}: true or false is expected, got {value!r}")
            values[_FLAGS[name]] = value
        elif name == _VERBOSE:
            if type(value) is not int or not 0 <= value <= _MAX_VERBOSE:
                raise InvalidRequest(f"{name}: a number that is not negative is expected, got {value!r}")
            values["verbose_level"] = value
        else:
            raise InvalidRequest(f"{name}: unknown log setting; known are {[*_FLAGS, _VERBOSE, *_FIXED]}")
    logs.change(LogSettings(**values))
