from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from loadtest.results.block import Block
from loadtest.results.report import Report
from loadtest.scenarios.scraping import Scraper, costs, markdown, with_scraped
from loadtest.targets.target import Target

GATEWAY = Target(
    backend="b", server="", via="gateway", protocol="HTTP", wire="oip", address="127.0.0.1:1", name="b gateway HTTP"
)


@pytest.fixture
def scraped(report: Report, block: Callable[..., Block]) -> Report:
    """50 and 40 requests/s through the gateway: 4 of 100 less with scrapes every second, as many every 15."""

    def blocks(*rates: int) -> tuple[Block, ...]:
        return tuple(block("closed:64", n, [1.0] * rate) for n, rate in enumerate(rates * 5))

    gateway = report.targets[0]
    every_1, every_15 = (f"{gateway.name}, scraped every {every} s" for every in (1, 15))
    targets = [
        msgspec.structs.replace(gateway, blocks=blocks(50, 40)),
        msgspec.structs.replace(gateway, name=every_1, blocks=blocks(48, 38)),
        msgspec.structs.replace(gateway, name=every_15, blocks=blocks(50, 40)),
    ]
    return msgspec.structs.replace(report, scenario="scraping", targets=tuple(targets))


def test_each_target_is_measured_alone_and_once_for_each_interval() -> None:
    names = [target.name for target in with_scraped([GATEWAY], (1, 15))]
    assert names == ["b gateway HTTP", "b gateway HTTP, scraped every 1 s", "b gateway HTTP, scraped every 15 s"]


def test_the_cost_is_the_ratio_of_blocks_of_the_same_moments(scraped: Report) -> None:
    often, seldom = costs(scraped)
    assert (often.target, often.every, seldom.every) == ("onnxruntime gateway HTTP", 1, 15)
    assert often.throughput.value == pytest.approx(86 / 90, rel=0.01)
    assert seldom.throughput.value == 1
    assert seldom.throughput.interval == pytest.approx((1, 1))


def test_a_block_without_its_pair_is_left_out(scraped: Report) -> None:
    alone, often, _ = scraped.targets
    short = msgspec.structs.replace(alone, blocks=alone.blocks[:2])
    (cost,) = costs(msgspec.structs.replace(scraped, targets=(short, often)))
    assert cost.throughput.value == pytest.approx(86 / 90, rel=0.01)
    assert cost.throughput.interval is None


def test_markdown_is_a_table_for_the_readme(scraped: Report) -> None:
    lines = markdown(scraped).splitlines()
    assert lines[0].startswith("| tiny | scraped every |")
    assert lines[3] == "| onnxruntime gateway HTTP | 15 s | 1.000 (1.000–1.000) |"
    assert markdown(msgspec.structs.replace(scraped, targets=scraped.targets[:1])) == ""


def test_the_page_is_fetched_between_start_and_stop_as_prometheus_asks() -> None:
    asked: list[str] = []

    async def run() -> None:
        enough = asyncio.Event()

        async def page(request: web.Request) -> web.Response:
            asked.append(request.headers["accept"])
            if len(asked) % 3 == 0:
                enough.set()
            return web.Response(text="# EOF\n")

        async with TestServer(_application(page)) as server:
            # The process is the same the second time.
            assert await _scrape(str(server.make_url("/metrics")), enough, times=2) == ""

    asyncio.run(run())
    assert asked[0].startswith("application/openmetrics-text")


def test_a_connection_that_the_server_closes_between_two_pages_is_no_problem() -> None:
    async def run() -> None:
        enough = asyncio.Event()
        pages = 0

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal pages
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")  # nothing says that this was all
            writer.close()
            pages += 1
            if pages == 3:
                enough.set()

        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            host, port = server.sockets[0].getsockname()
            assert await _scrape(f"http://{host}:{port}/metrics", enough) == ""

    asyncio.run(run())


@pytest.mark.parametrize(
    ("status", "problem"), [(404, "/metrics cannot be scraped: HTTP 404"), (None, "Connection refused")]
)
def test_a_page_that_cannot_be_fetched_is_a_problem(status: int | None, problem: str) -> None:
    async def run() -> str:
        async def page(_: web.Request) -> web.Response:
            return web.Response(status=status or 200)

        server = TestServer(_application(page))
        await server.start_server()
        url = str(server.make_url("/metrics"))
        if status is None:
            await server.close()
        scraper = Scraper(url, every=0.001)
        await scraper.start()
        await scraper.stop()
        await scraper.close()
        await server.close()
        return scraper.problem

    assert problem in asyncio.run(run())


async def _scrape(url: str, enough: asyncio.Event, times: int = 1) -> str:
    """The problem of a scraper that is started ``times`` times, and stopped when there were enough pages."""
    scraper = Scraper(url, every=0.001)
    for _ in range(times):
        enough.clear()
        await scraper.start()
        await enough.wait()
        await scraper.stop()
    await scraper.close()
    return scraper.problem


def _application(page: Callable[[web.Request], Awaitable[web.Response]]) -> web.Application:
    application = web.Application()
    application.router.add_get("/metrics", page)
    return application
