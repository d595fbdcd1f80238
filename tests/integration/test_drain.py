"""A gateway process that is told to stop under load answers everything that it accepted."""

import asyncio
import json
import signal
import sys

import grpc
import numpy as np
import pytest
import yaml
from support.load import Load
from support.tiny_store import make_store

from gateway.codecs import oip_grpc
from gateway.core.messages import InferRequest, RequestContext
from gateway.core.tensors import Tensor

pytestmark = pytest.mark.integration

PATH = "/v2/models/double/infer"
BODY = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}]}


class Served:
    """A ``gateway serve`` process and its addresses."""

    def __init__(self, process, addresses):
        self.process = process
        self.addresses = addresses

    async def end(self):
        """SIGTERM, then the exit code."""
        self.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(30):
            return await self.process.wait()


async def serve(folder):
    store = make_store(folder / "store")
    config = folder / "gateway.yaml"
    free = {"port": 0}
    config.write_text(
        yaml.safe_dump(
            {
                "http": free,
                "grpc": free,
                "metrics": free,
                "admin": free,
                "model_store": str(store),
                "models": ["double"],
                "backends": {"engine": {"kind": "embedded", "engine": "onnxruntime", "device": "cpu"}},
            }
        )
    )
    command = [sys.executable, "-m", "gateway.cli", "serve", "--config", str(config)]
    process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
    async with asyncio.timeout(60):
        while line := await process.stderr.readline():
            event = json.loads(line)
            if event["event"] == "serving":
                return Served(process, event)
    raise AssertionError("gateway serve ended before it served")


@pytest.mark.parametrize("reuse", [True, False], ids=["keep-alive", "one connection a request"])
def test_no_accepted_http_request_is_lost(tmp_path, reuse):
    async def run():
        served = await serve(tmp_path)
        load = Load(served.addresses["http"], PATH, BODY, 16, reuse=reuse)
        await load.until(lambda load: load.outcomes["ok"] >= 200)
        code = await served.end()
        await load.until(lambda load: load.outcomes["refused"] > 0)
        await load.stop()
        return load, code

    load, code = asyncio.run(run())
    assert code == 0
    assert set(load.outcomes) == {"ok", "refused"}, (load.outcomes, load.errors)


def test_no_accepted_grpc_request_is_lost(tmp_path):
    tensor = Tensor.from_numpy("x", np.ones((1, 2), np.float32))
    message = oip_grpc.encode_request(InferRequest("double", (tensor,), RequestContext("test")))

    async def client(address, failures, counts, stopped):
        async with grpc.aio.insecure_channel(address) as channel:
            infer = channel.unary_unary(oip_grpc.INFER_METHOD)
            while not stopped.is_set():
                try:
                    await infer(message, timeout=10)
                    counts.append(1)
                except grpc.aio.AioRpcError as error:
                    if "failed to connect" in error.details() or "shutting down" in error.details():
                        return  # never accepted, and said so
                    failures.append((error.code(), error.details()))

    async def run():
        served = await serve(tmp_path)
        failures, counts, stopped = [], [], asyncio.Event()
        clients = [asyncio.create_task(client(served.addresses["grpc"], failures, counts, stopped)) for _ in range(8)]
        async with asyncio.timeout(60):
            while len(counts) < 200:
                await asyncio.sleep(0.01)
        code = await served.end()
        await asyncio.gather(*clients)
        return failures, code

    failures, code = asyncio.run(run())
    assert code == 0
    assert failures == []


def test_a_request_that_is_slow_to_arrive_is_still_answered(tmp_path):
    async def run():
        served = await serve(tmp_path)
        host, port = served.addresses["http"].split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        body = json.dumps(BODY).encode()
        head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        writer.write(head + body[:20])
        await writer.drain()
        ending = asyncio.create_task(served.end())
        async with asyncio.timeout(20):
            while not (await served.process.stderr.readline()).count(b'"draining"'):
                pass
            writer.write(body[20:])
            answer = await reader.read()
        writer.close()
        return answer, await ending

    answer, code = asyncio.run(run())
    assert answer.startswith(b"HTTP/1.1 200")
    assert b"connection: close" in answer.lower()
    assert code == 0


def test_a_taken_port_is_named_and_ends_with_1(tmp_path):
    async def run():
        served = await serve(tmp_path)
        port = int(served.addresses["http"].split(":")[1])
        config = tmp_path / "second.yaml"
        config.write_text((tmp_path / "gateway.yaml").read_text() + f"\nhttp: {{port: {port}}}\n")
        command = [sys.executable, "-m", "gateway.cli", "serve", "--config", str(config)]
        second = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
        _, text = await second.communicate()
        await served.end()
        return second.returncode, text.decode(), port

    code, text, port = asyncio.run(run())
    assert code == 1
    assert f"http.port: cannot listen on 127.0.0.1:{port}: Address already in use" in text
    assert "Traceback" not in text
