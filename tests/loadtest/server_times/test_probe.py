import asyncio
import json

import pytest
from aiohttp import web

from loadtest.server_times import fetch
from loadtest.server_times.probe import probe_of
from loadtest.server_times.snapshot import difference
from loadtest.targets.target import Target

STATS = {name: {"count": 1, "ns": 1000} for name in ("success", "queue", "compute_infer")}


def target(metrics, token=""):
    return Target("b", "", "direct", "HTTP", "oip", "127.0.0.1:1", "b", token=token, metrics=metrics)


def serve(handler, use):
    """Run ``use(host:port)`` beside a server whose answers ``handler`` gives."""

    async def main():
        server = web.Server(handler)
        runner = web.ServerRunner(server)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        try:
            host, port = runner.addresses[0][:2]
            return await use(f"{host}:{port}")
        finally:
            await runner.cleanup()

    return asyncio.run(main())


def test_statistics_of_all_models_are_read_with_the_token():
    asked = []

    async def handler(request):
        asked.append((request.path_qs, request.headers.get("Authorization")))
        stats = {name: {"count": len(asked), "ns": 1000 * len(asked)} for name in STATS}
        return web.json_response({"model_stats": [{"inference_stats": stats}]})

    async def use(address):
        probe = probe_of(target(f"oip+http://{address}", token="secret"), ["m", "a b"])
        return await probe.read(), await probe.read()

    before, after = serve(handler, use)
    assert asked[:2] == [("/v2/models/m/stats", "Bearer secret"), ("/v2/models/a%20b/stats", "Bearer secret")]
    assert difference(before, after).requests == (3 + 4) - (1 + 2)


def test_a_page_for_prometheus():
    async def handler(request):
        assert request.path == "/some/metrics"
        series = "gateway_request_duration_seconds"
        return web.Response(
            text=f'# TYPE {series} histogram\n{series}_sum{{model="m"}} 5\n{series}_count{{model="m"}} 2\n'
            '# TYPE gateway_overhead_seconds histogram\ngateway_overhead_seconds_sum{backend="x"} 1\n'
        )

    async def use(address):
        return await probe_of(target(f"prometheus+http://{address}/some/metrics"), ["m"]).read()

    assert serve(handler, use).seconds == {"backend": 4.0, "gateway": 1.0}


@pytest.mark.parametrize("kind", ["oip", "prometheus"])
@pytest.mark.parametrize("answer", [web.HTTPNotFound, web.HTTPInternalServerError, lambda: web.Response(body=b"\xff{")])
def test_a_server_without_counters_is_no_error(kind, answer):
    async def handler(request):
        return answer()

    async def use(address):
        return await probe_of(target(f"{kind}+http://{address}"), ["m"]).read()

    assert serve(handler, use) is None


def test_one_model_without_counters_leaves_no_sum():
    async def handler(request):
        found = "/m/" in request.path
        return web.Response(
            status=200 if found else 404, text=json.dumps({"model_stats": [{"inference_stats": STATS}]})
        )

    async def use(address):
        return await probe_of(target(f"oip+http://{address}"), ["m", "n"]).read()

    assert serve(handler, use) is None


def test_a_server_that_hangs_is_left_alone(monkeypatch):
    monkeypatch.setattr(fetch, "_SECONDS", 0.05)
    given_up = asyncio.Event()

    async def handler(request):
        await given_up.wait()
        return web.Response(text=json.dumps({"model_stats": [{"inference_stats": STATS}]}))

    async def use(address):
        snapshot = await probe_of(target(f"oip+http://{address}"), ["m"]).read()
        given_up.set()
        return snapshot

    assert serve(handler, use) is None


@pytest.mark.parametrize(
    "url", ["oip+http://127.0.0.1:1", "prometheus+http://127.0.0.1:1/x", "oip+http://[", "oip+nonsense"]
)
def test_a_server_that_is_down_or_no_url_at_all(url):
    assert asyncio.run(probe_of(target(url), ["m"]).read()) is None


@pytest.mark.parametrize("metrics", ["", "http://127.0.0.1:1", "statsd+http://127.0.0.1:1"])
def test_nothing_is_published(metrics):
    assert probe_of(target(metrics), ["m"]) is None
