"""What can go wrong before or beside the measuring, each with one sentence for the person who asked.

::

    LoadTestError            cannot go on
    ├─ Unusable              what was asked for cannot be done at all: a wrong spec, model, target, file (exit 2)
    │  ├─ BadSpec            a load, SLO, target or payload spec cannot be read
    │  ├─ PayloadError       the payloads cannot be read, or do not fit the model
    │  ├─ StackError         there is no running stack, or it does not have what is asked for
    │  └─ ResultsError       a result file cannot be read or written
    └─ Failed                it was tried and did not work (exit 1)

Failures of single requests are no exceptions: they are counted (``loadtest.calls.Call.failure``).
"""

from __future__ import annotations


class LoadTestError(Exception):
    """Base; ``str`` is one sentence that names the thing."""


class Unusable(LoadTestError):
    """What was asked for cannot be done."""


class BadSpec(Unusable):
    """A spec cannot be read; the message quotes it and says what is expected."""


class PayloadError(Unusable):
    """Payloads cannot be read or do not fit the model; the message names the file or sample."""


class StackError(Unusable):
    """There is no running stack, or it does not have what is asked for."""


class ResultsError(Unusable):
    """A result file cannot be read or written; the message names it."""


class Failed(LoadTestError):
    """It was tried and did not work."""
