"""One gateway process that signals reload and end."""

from __future__ import annotations

import asyncio
import contextlib
import signal

import structlog

from gateway.app import App
from gateway.config.settings import GatewayConfig
from gateway.reload.file import ConfigFile

_log = structlog.get_logger()


async def serve(settings: GatewayConfig, file: ConfigFile) -> None:
    """Run a gateway until SIGINT or SIGTERM; raises as ``App`` and ``App.run``. A second signal ends it at once.

    SIGHUP has it read ``file`` anew.
    """
    loop = asyncio.get_running_loop()

    def on_hangup() -> None:
        app.hung_up()

    loop.add_signal_handler(signal.SIGHUP, on_hangup)  # first: to load the engines takes long
    app = App(settings, file)
    main = asyncio.current_task()

    def on_signal() -> None:
        if app.lifecycle.draining and main is not None:
            main.cancel()
        app.stop()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, on_signal)
    with contextlib.suppress(asyncio.CancelledError):
        await app.run(lambda addresses: _log.info("serving", **addresses))
