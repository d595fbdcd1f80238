"""Real gateways in the test's own event loop, on free ports."""

import asyncio
import contextlib

from gateway.app import App
from gateway.config.settings import GatewayConfig

FREE = {"host": "127.0.0.1", "port": 0}
ENGINE = {"kind": "embedded", "engine": "onnxruntime", "device": "cpu"}


def settings(store, backends, **changes):
    """A configuration on free ports that drains at once."""
    return GatewayConfig.model_validate(
        {
            "http": FREE,
            "grpc": FREE,
            "metrics": FREE,
            "admin": FREE,
            "model_store": store,
            "backends": backends,
            "health": {"interval": 0.05},
            "drain": {"grace": 0.0, "timeout": 5.0},
            **changes,
        }
    )


@contextlib.asynccontextmanager
async def running(configuration, file=None):
    """The app and its addresses (``host:port`` by listener), while it serves; ``file`` may change what it obeys."""
    app = App(configuration, file)
    ready = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(app.run(ready.set_result))
    await asyncio.wait([ready, task], return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        task.result()
    try:
        yield app, ready.result()
    finally:
        app.stop()
        await task
