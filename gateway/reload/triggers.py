"""What makes a gateway read its file anew, beside the admin port: new content of it, and SIGHUP."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from gateway.core.errors import GatewayError
from gateway.reload.file import ConfigFile
from gateway.reload.live import LiveConfig
from gateway.reload.terminal import Terminal


class Triggers:
    """Of a gateway that obeys ``live``, read from ``file``; ``stop`` ends it."""

    def __init__(self, live: LiveConfig, file: ConfigFile, stop: Callable[[], None]) -> None:
        self._live = live
        self._file = file
        self._stop = stop
        self._terminal = Terminal()
        self._reloading: set[asyncio.Task[None]] = set()

    async def watch(self) -> None:
        """Reload whenever the file has new content; for ever."""
        await self._file.watch(lambda: self._reload("file"))

    def hung_up(self) -> None:
        """SIGHUP: reload, or stop when it is because the terminal is gone."""
        if self._terminal.is_gone:
            self._stop()
            return
        task = asyncio.get_running_loop().create_task(self._reload("signal"), name="reload")
        self._reloading.add(task)
        task.add_done_callback(self._reloading.discard)

    async def _reload(self, trigger: str) -> None:
        with contextlib.suppress(GatewayError):  # it has been logged, and the configuration before goes on
            await self._live.reload(trigger)
