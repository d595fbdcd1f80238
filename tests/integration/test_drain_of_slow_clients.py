"""A gateway process that is told to stop does not wait for ever for clients that do not finish."""

import asyncio
import json
import signal
import sys
import time

import pytest
import yaml
from support import raw_http2 as h2
from support.raw_http import connected
from support.tiny_store import make_store

pytestmark = pytest.mark.integration

HEAD = b"POST /v2/models/double/infer HTTP/1.1\r\nHost: x\r\n"
INFER = b"/inference.GRPCInferenceService/ModelInfer"
DRAIN = 1.0  # seconds
UNFINISHED = {
    "nothing": b"",
    "head": HEAD,
    "body": HEAD + b"Content-Length: 100\r\n\r\n{",
    "chunk": HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{",
    "refused body": HEAD + b"Content-Length: 100000000000\r\n\r\n{",
}


async def serve(folder):
    """A ``gateway serve`` process and its addresses."""
    free = {"port": 0}
    settings = dict.fromkeys(["http", "grpc", "metrics", "admin"], free) | {
        "model_store": str(make_store(folder / "store")),
        "models": ["double"],
        "backends": {"engine": {"kind": "embedded", "engine": "onnxruntime", "device": "cpu"}},
        "drain": {"grace": 0, "timeout": DRAIN},
    }
    (folder / "gateway.yaml").write_text(yaml.safe_dump(settings))
    command = [sys.executable, "-m", "gateway.cli", "serve", "--config", str(folder / "gateway.yaml")]
    process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
    async with asyncio.timeout(60):
        while line := await process.stderr.readline():
            event = json.loads(line)
            if event["event"] == "serving":
                return process, event
    raise AssertionError("gateway serve ended before it served")


async def end(process):
    """Exit code after SIGTERM, and the seconds that it took."""
    started = time.monotonic()
    process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(30):
        return await process.wait(), time.monotonic() - started


def test_clients_that_do_not_finish_do_not_hold_the_process(tmp_path):
    async def run():
        process, addresses = await serve(tmp_path)
        held = [connected(addresses["http"]) for _ in range(5 * len(UNFINISHED))]
        connections = [await each.__aenter__() for each in held]
        for number, connection in enumerate(connections):
            await connection.send(list(UNFINISHED.values())[number % len(UNFINISHED)])
        dripping = [asyncio.create_task(drip(connection)) for connection in connections[1::5]]
        result = await end(process)
        for task in dripping:
            task.cancel()
        for each in held:
            await each.__aexit__(None, None, None)
        return result

    code, seconds = asyncio.run(run())
    assert code == 0
    assert seconds < DRAIN + 5


async def drip(connection):
    while True:
        await connection.send(b"X: a\r\n")
        await asyncio.sleep(0.05)


def test_grpc_clients_that_do_not_finish_do_not_hold_the_process(tmp_path):
    async def run():
        process, addresses = await serve(tmp_path)
        async with h2.connected(addresses["grpc"]) as connection:
            for stream in (1, 3, 5):
                await connection.send(h2.frame(h2.HEADERS, h2.END_HEADERS, stream, h2.header_block(INFER)))
                await connection.send(h2.frame(h2.DATA, 0, stream, b"\0\0\0\0\7ab"))
            async with h2.connected(addresses["grpc"]) as other:
                await other.send(h2.frame(h2.GOAWAY, 0, 0, bytes(8) + b"a line of the client's"))
                await other.send(h2.frame(h2.PING, 0, 0, bytes(8)))
                await other.until(h2.PING)
            result = await end(process)
        return *result, (await process.stderr.read()).decode()

    code, seconds, log = asyncio.run(run())
    assert code == 0
    assert seconds < DRAIN + 5
    assert all(json.loads(line) for line in log.splitlines())  # what clients send is not written into the log
