"""Which messages are written can be changed while the process runs."""

import io
import logging
import sys

import pytest
import structlog

from gateway.core.log_settings import LogSettings
from gateway.telemetry.logs import LOGS, configure_logging

LEVELS = ("debug", "info", "warning", "error", "critical")


@pytest.fixture
def written(monkeypatch):
    """The levels at which messages are written now, by a logger that was used before the change."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    configure_logging()
    log, library = structlog.get_logger(), logging.getLogger("some.library")
    log.error("first use")

    def levels():
        stream.truncate(0)
        for level in LEVELS:
            getattr(log, level)(f"ours-{level}")
            getattr(library, level)(f"theirs-{level}")
        text = stream.getvalue()
        return tuple([level for level in LEVELS if f"{who}-{level}" in text] for who in ("ours", "theirs"))

    yield levels
    LOGS.change(LogSettings())
    structlog.reset_defaults()
    root.handlers[:] = before[0]
    root.setLevel(before[1])


def test_debugging_is_not_written_by_default(written):
    assert written() == (["info", "warning", "error", "critical"], ["warning", "error", "critical"])


@pytest.mark.parametrize(
    ("settings", "ours", "theirs"),
    [
        (LogSettings(verbose_level=1), list(LEVELS), ["warning", "error", "critical"]),
        (LogSettings(info=False), ["warning", "error", "critical"], ["warning", "error", "critical"]),
        (LogSettings(warning=False), ["info", "error", "critical"], ["error", "critical"]),
        (LogSettings(error=False), ["info", "warning"], ["warning"]),
    ],
)
def test_each_setting_is_one_level(written, settings, ours, theirs):
    LOGS.change(settings)
    assert written() == (ours, theirs)
    LOGS.change(LogSettings())
    assert written()[0] == ["info", "warning", "error", "critical"]
