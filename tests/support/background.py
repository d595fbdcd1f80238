"""A real gateway in a thread of its own, for clients that block."""

import asyncio
import contextlib
import threading

import uvloop

from gateway.app import App


@contextlib.contextmanager
def in_background(configuration):
    """Its addresses, while it serves; it runs on uvloop, as in production."""
    ready, started, failed = {}, threading.Event(), []
    handle = {}

    async def serve():
        app = App(configuration)
        handle["stop"] = asyncio.get_running_loop().call_soon_threadsafe, app.stop

        def on_ready(addresses):
            ready.update(addresses)
            started.set()

        await app.run(on_ready)

    def run():
        try:
            uvloop.run(serve())
        except BaseException as error:
            failed.append(error)
        finally:
            started.set()

    thread = threading.Thread(target=run, name="gateway")
    thread.start()
    started.wait()
    try:
        if failed:
            raise failed[0]
        yield ready
    finally:
        if not failed:
            call, stop = handle["stop"]
            call(stop)
        thread.join()
