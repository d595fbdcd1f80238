"""Signals while a deployment is at work."""

import os
import signal

import pytest

from gateway.runtime.docker.interrupt import interrupts
from gateway.runtime.errors import RuntimeFailure


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_is_heard_when_it_is_asked_for(number):
    with interrupts() as interrupt:
        interrupt.check()
        os.kill(os.getpid(), number)
        with pytest.raises(RuntimeFailure, match=f"stopped by {number.name}"):
            interrupt.check()


def test_a_second_one_ends_it_at_once():
    before = signal.getsignal(signal.SIGTERM)
    with interrupts():
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGTERM) is before
