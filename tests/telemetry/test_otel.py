"""What is recorded, and a collector that does not do its part, against a real gateway and a real SDK."""

import asyncio
import contextlib
import threading
import time

import aiohttp
import pytest
import structlog
import uvloop
from support.collector import collecting
from support.gateways import ENGINE, running, settings
from support.tiny_store import make_store

from gateway.telemetry import otel

BODY = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}]}
PARENT = "00-" + "a" * 32 + "-" + "b" * 16


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return make_store(tmp_path_factory.mktemp("store"))


@pytest.fixture
def collector(monkeypatch):
    monkeypatch.setattr(otel, "_BATCH_SECONDS", 0.01)
    with collecting() as (collector, url):
        collector.url = url
        yield collector


@pytest.fixture
def said():
    """What is logged, by event."""
    with structlog.testing.capture_logs() as entries:
        yield lambda word: [entry["event"] for entry in entries if word in entry["event"]]


@contextlib.asynccontextmanager
async def asking(store, url, **tracing):
    """Sends a request to a traced model server, with the given trace context."""
    configuration = settings(store, {"engine": ENGINE}, models=["double"], tracing={"endpoint": url, **tracing})
    async with running(configuration) as (_, addresses), aiohttp.ClientSession() as session:

        async def ask(traceparent=None, model="double", status=200):
            headers = {} if traceparent is None else {"traceparent": traceparent}
            address = f"http://{addresses['http']}/v2/models/{model}/infer"
            async with session.post(address, json=BODY, headers=headers) as answer:
                assert answer.status == status

        yield ask


def test_without_a_client_that_records_a_share_is_recorded(collector, store, monkeypatch):
    draws = iter([0.09, 0.1, 0.99])
    monkeypatch.setattr(otel.random, "random", lambda: next(draws))

    async def run():
        async with asking(store, collector.url, sample=0.1) as ask:
            for _ in range(3):
                await ask()

    uvloop.run(run())
    root, attempt = sorted(collector.spans, key=lambda span: span.start)  # leaving the server has sent them
    assert (root.parent, root.service) == ("", "gateway")
    assert (attempt.parent, attempt.trace) == (root.id, root.trace)


@pytest.mark.parametrize(("flags", "sample", "spans"), [("01", 0, 2), ("00", 1, 0), ("03", 0, 2), ("02", 1, 0)])
def test_the_client_decides_about_its_own_traces(collector, store, flags, sample, spans):
    async def run():
        async with asking(store, collector.url, sample=sample) as ask:
            await ask(f"{PARENT}-{flags}")

    uvloop.run(run())
    assert [span.trace for span in collector.spans] == ["a" * 32] * spans


def test_a_collector_that_refuses_is_told_of_once_and_again_when_it_takes_spans(collector, store, said):
    collector.status = 400

    async def run():
        async with asking(store, collector.url, sample=1) as ask:
            for posts in (1, 2, 3):
                await ask()
                await until(lambda posts=posts: collector.posts >= posts)
            assert said("collector") == ["spans are lost: the collector does not take them"]
            collector.status = 200
            await ask()
            await until(lambda: collector.spans)

    uvloop.run(run())
    assert said("collector") == [
        "spans are lost: the collector does not take them",
        "the collector takes spans again",
    ]


def test_a_collector_that_is_not_there_harms_no_request(store, said, monkeypatch):
    monkeypatch.setattr(otel, "_SEND_SECONDS", 60.0)  # it is tried again and again
    monkeypatch.setattr(otel, "_FLUSH_SECONDS", 0.1)

    async def run():
        async with asking(store, "http://127.0.0.1:1", sample=1) as ask:
            await asyncio.gather(*(ask() for _ in range(50)))

    uvloop.run(run())
    assert said("collector") == ["the last spans are lost: the collector does not take them in time"]


def test_a_collector_that_hangs_costs_a_bounded_number_of_spans_and_a_bounded_time(collector, store, said, monkeypatch):
    monkeypatch.setattr(otel, "_MAX_QUEUE", 64)
    monkeypatch.setattr(otel, "_SEND_SECONDS", 60.0)
    monkeypatch.setattr(otel, "_FLUSH_SECONDS", 0.1)
    collector.hang = threading.Event()
    took = []

    async def run():
        async with asking(store, collector.url, sample=1) as ask:
            await ask()
            await until(lambda: collector.posts)
            for _ in range(50):
                await ask()
            started = time.monotonic()
        took.append(time.monotonic() - started)

    uvloop.run(run())
    assert took[0] < otel._SEND_SECONDS
    assert said("collector") == ["the last spans are lost: the collector does not take them in time"]
    collector.hang.set()
    # One or two were sent at first, and at the end what the queue had room for; the others have given way.
    assert len(collector.wait_for(lambda spans: len(spans) > 64)) <= 66


def test_what_a_client_calls_things_is_cut_short(collector, store):
    async def run():
        async with asking(store, collector.url, sample=1) as ask:
            await ask(model="m" * 5000, status=404)

    uvloop.run(run())
    assert collector.spans[0].attributes["gateway.model"] == "m" * 256


async def until(condition):
    """Return when ``condition`` is true; the test's own time limit ends the waiting."""
    while not condition():
        await asyncio.sleep(0.005)
