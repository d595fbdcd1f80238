"""A gateway with the real ONNX Runtime and the models that other people's clients ask for."""

import asyncio

import pytest
import uvloop
from support.client_models import make_client_store
from support.gateways import ENGINE, running, settings


@pytest.fixture(scope="package")
def loop():
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:  # as in production
        yield runner


@pytest.fixture(scope="package")
def addresses(tmp_path_factory, loop):
    """``host:port`` by listener."""
    store = make_client_store(tmp_path_factory.mktemp("store"))
    # Triton's examples insist on the server's name.
    manager = running(settings(store, {"here": ENGINE}, name="triton", shared_memory=True))
    _, found = loop.run(manager.__aenter__())
    yield found
    loop.run(manager.__aexit__(None, None, None))


@pytest.fixture
def blocking(loop):
    """Call a function in a thread, so that the gateway goes on."""
    return lambda function, *arguments: loop.run(asyncio.to_thread(function, *arguments))
