"""The load tester's clock on the virtual time of ``support.virtual_time``."""

import asyncio

NS = 1_000_000_000


class VirtualClock:
    """Nanoseconds of the running virtual loop."""

    def __init__(self):
        self._alarm = None

    def now(self):
        return round(asyncio.get_running_loop().time() * NS)

    def call_at(self, when, callback):
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = asyncio.get_running_loop().call_at(when / NS, callback)
