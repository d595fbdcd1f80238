"""What the words on tables and pages mean; said once, for all of them."""

from __future__ import annotations

RESPONSE_TIME = (
    "runs from the moment a request was due to its last byte. In a closed loop a request is due when its caller is "
    "free, in an open loop when the schedule says so, however busy the server is: waiting counts."
)
SERVICE_TIME = "runs from the moment a request was really sent: what a tester that forgets the waiting would report."
INTERVAL = (
    "holds the true value with 95 % confidence. Two targets whose intervals overlap are not told apart by that number."
)
GREY = "numbers (in parentheses on terminals) have too few samples for that percentile by MLPerf LoadGen's rule."
LEAST_SAMPLES = "It takes 64 samples for p90, 130 for p95, 662 for p99 and 6,636 for p99.9."
INVALID = (
    "means that the load generator, not the server, may have set the numbers, or the load was not what was asked for; "
    "the sentence says which condition failed. Numbers of an INVALID run must not be used."
)
ERRORS = "are counted by kind and are no part of any response time."
STEADY = "is a run whose times show no trend; the percentiles of one that drifts depend on when it ended."
