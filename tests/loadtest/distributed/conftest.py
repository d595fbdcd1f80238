"""What one worker and a cluster of them measure."""

from http.server import ThreadingHTTPServer

import pytest
from support.tiny_workload import tiny_target, tiny_workload

from loadtest.load.seeds import Seeds
from loadtest.measure.settings import Settings


@pytest.fixture
def workload():
    return tiny_workload()


@pytest.fixture
def server(monkeypatch, request):
    """The fake server, which takes the connections of several workers at once."""
    monkeypatch.setattr(ThreadingHTTPServer, "request_queue_size", 128)
    return request.getfixturevalue("server")


@pytest.fixture
def target(server):
    return tiny_target(server.http)


@pytest.fixture
def settings():
    return Settings(seconds=0.5, repetitions=1, timeout=5.0, most_in_flight=64, seeds=Seeds(1, 2, 3))
