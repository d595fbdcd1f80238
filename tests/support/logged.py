"""The JSON lines that some modules write while a test runs."""

import contextlib
import importlib
import io
import json
import sys

import structlog

from gateway.telemetry.logs import configure_logging


@contextlib.contextmanager
def logged(monkeypatch, *modules):
    """A function that gives the lines written so far by ``modules`` (names), as objects."""
    stream = io.StringIO()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", stream)
        configure_logging()
        for module in modules:  # a logger that was used before keeps the stream it had then
            patch.setattr(importlib.import_module(module), "_log", structlog.get_logger())
        yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    structlog.reset_defaults()
