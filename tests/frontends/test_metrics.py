"""The metrics port of a real gateway, read by prometheus_client's parsers."""

import asyncio
import json

import aiohttp
import pytest
import uvloop
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_open
from prometheus_client.parser import text_string_to_metric_families as parse_text
from support.gateways import ENGINE, running, settings
from support.tiny_store import make_store

INFER = "/v2/models/double/infer"
GOOD = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}]}
OPEN_METRICS = "application/openmetrics-text;version=1.0.0"
BY_TRACE = ("gateway_request_duration_seconds", "gateway_attempt_duration_seconds")


@pytest.fixture(scope="module")
def loop():
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        yield runner


@pytest.fixture(scope="module")
def addresses(tmp_path_factory, loop):
    served = running(settings(make_store(tmp_path_factory.mktemp("store")), {"here": ENGINE}))
    yield loop.run(served.__aenter__())[1]
    loop.run(served.__aexit__(None, None, None))


@pytest.fixture
def scrape(loop, addresses):
    """Families by name, and the content type; None accepts anything."""

    def ask(accept=None):
        async def call():
            headers = {"accept": accept} if accept else {}
            async with aiohttp.ClientSession() as session:
                async with session.get(f"http://{addresses['metrics']}/metrics", headers=headers) as answer:
                    return await answer.text(), answer.headers

        page, headers = loop.run(call())
        parse = parse_open if accept == OPEN_METRICS else parse_text
        return {family.name: family for family in parse(page)}, headers

    return ask


@pytest.fixture
def post(loop, addresses):
    def ask(body, traceparent=""):
        async def call():
            async with aiohttp.ClientSession() as session:
                headers = {"traceparent": traceparent} if traceparent else {}
                url = f"http://{addresses['http']}{INFER}"
                async with session.post(url, data=json.dumps(body), headers=headers) as answer:
                    return answer.status

        return loop.run(call())

    return ask


def sample(families, family, suffix="", **labels):
    """The value of one series; 0 while there is none."""
    for each in families[family].samples:
        if each.name == family + suffix and each.labels == labels:
            return each.value
    return 0


def test_the_port_speaks_both_forms_and_compresses_neither(scrape):
    families, headers = scrape()
    assert headers["content-type"].startswith("text/plain; version=0.0.4")
    open_families, open_headers = scrape(OPEN_METRICS)
    assert open_headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    assert open_families.keys() == families.keys()
    assert "content-encoding" not in {*headers, *open_headers}


def test_only_sampled_traces_are_shown(scrape, post):
    sampled, other = "d" * 32, "e" * 32
    assert post(GOOD, f"00-{sampled}-{'b' * 16}-01") == post(GOOD, f"00-{other}-{'b' * 16}-02") == 200
    families, _ = scrape(OPEN_METRICS)
    shown = {
        name: {each.exemplar.labels["trace_id"] for each in families[name].samples if each.exemplar}
        for name in families
    }
    assert {name: traces for name, traces in shown.items() if traces} == {name: {sampled} for name in BY_TRACE}


def test_payloads_count_tensors_and_only_answers_go_out(scrape, post):
    before, _ = scrape()
    assert post(GOOD) == 200
    assert post({"inputs": [{**GOOD["inputs"][0], "shape": [2, 1]}]}) == 400
    after, _ = scrape()

    def grown(suffix, direction):
        series = {"protocol": "oip-http", "direction": direction}
        return sample(after, "gateway_payload_bytes", suffix, **series) - sample(
            before, "gateway_payload_bytes", suffix, **series
        )

    assert (grown("_count", "in"), grown("_sum", "in")) == (2, 16)
    assert (grown("_count", "out"), grown("_sum", "out")) == (1, 8)


def test_the_engine_and_the_loop_are_watched(loop, scrape):
    families, _ = scrape()
    assert sample(families, "gateway_queue_depth", backend="here") == 0
    assert sample(families, "gateway_queue_limit", backend="here") == 1000
    assert sample(families, "gateway_circuit_state", backend="here") == 0
    assert "gateway_queue_wait_seconds" in families
    while not sample(scrape()[0], "gateway_event_loop_lag_seconds", "_count"):
        pass
