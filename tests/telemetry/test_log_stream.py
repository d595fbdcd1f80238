"""A log on a full disk."""

import io
import logging
import sys

import pytest
import structlog

from gateway.telemetry.logs import configure_logging


class Disk(io.StringIO):
    """Fails while it is ``full``."""

    full = False

    def write(self, text):
        if self.full:
            raise OSError(28, "No space left on device")
        return super().write(text)

    def flush(self):
        if self.full:
            raise OSError(28, "No space left on device")


@pytest.fixture
def disk(monkeypatch):
    root = logging.getLogger()
    before = root.handlers[:], root.level
    disk = Disk()
    monkeypatch.setattr(sys, "stderr", disk)
    configure_logging()
    yield disk
    structlog.reset_defaults()
    root.handlers[:] = before[0]
    root.setLevel(before[1])


@pytest.mark.parametrize("log", [structlog.get_logger(), logging.getLogger("some.library")])
def test_what_is_logged_while_the_disk_is_full_is_lost_and_nothing_else(disk, log):
    disk.full = True
    log.error("lost")
    disk.full = False
    log.error("kept")
    assert ("lost" in disk.getvalue(), "kept" in disk.getvalue()) == (False, True)
