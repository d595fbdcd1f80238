import pytest
import structlog

from gateway.telemetry.log_flood import PER_SECOND, LogFlood


class Log:
    def __init__(self):
        self.now = 0.0
        self.flood = LogFlood(lambda: self.now)

    def write(self, event="request", level="warning"):
        """The line, or None."""
        try:
            return self.flood(None, level, {"event": event})
        except structlog.DropEvent:
            return None


@pytest.mark.parametrize("level", ["warning", "error", "critical"])
def test_what_is_too_much_is_counted_and_told_in_the_next_line(level):
    log = Log()
    written = [log.write(level=level) for _ in range(PER_SECOND + 7)]
    assert written == [{"event": "request"}] * PER_SECOND + [None] * 7
    log.now = 1.0
    assert log.write(level=level) == {"event": "request", "left_out": 7}
    assert log.write(level=level) == {"event": "request"}


def test_each_message_has_its_own_bound():
    log = Log()
    for _ in range(PER_SECOND + 1):
        log.write("one")
    assert log.write("one") is None
    assert log.write("other") == {"event": "other"}


@pytest.mark.parametrize("level", ["debug", "info"])
def test_what_somebody_asked_to_be_logged_has_none(level):
    log = Log()
    assert None not in [log.write(level=level) for _ in range(3 * PER_SECOND)]
