from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiohttp import web

from gateway.core.tensors import Tensor
from gateway.runtime.readiness import (
    NotReady,
    Probe,
    ProbeInput,
    oip_probe,
    tfserving_probe,
    torchserve_probe,
    wait_ready,
)

DIGITS = ProbeInput("digits", (Tensor.from_numpy("x", np.array([[1.5, -2.0]], np.float32)),))
WORDS = ProbeInput("words", (Tensor.from_numpy("text", np.array([[b"a", b""]], object)),))


def run_against(
    answer: Callable[[web.Request], Awaitable[web.Response]], use: Callable[[str], Awaitable[None]]
) -> None:
    """Run ``use`` with the URL of a server that answers with ``answer``."""

    async def main() -> None:
        runner = web.ServerRunner(web.Server(answer))  # type: ignore[arg-type]
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            host, port = runner.addresses[0][:2]
            await use(f"http://{host}:{port}")
        finally:
            await runner.cleanup()

    asyncio.run(main())


async def second_wait(probe: Probe) -> str:
    """What it waits for after the first attempt."""
    waits: asyncio.Queue[str] = asyncio.Queue()
    waiting = asyncio.create_task(wait_ready(probe, waits.put_nowait))
    await waits.get()
    try:
        return await waits.get()
    finally:
        waiting.cancel()


def test_every_model_has_to_answer_before_it_is_ready() -> None:
    paths: list[str] = []
    waits: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        paths.append(request.path)
        if paths.count(request.path) == 1:
            return web.Response(status=503, text="model is\n loading")
        return web.Response(text="{}")

    async def use(url: str) -> None:
        await wait_ready(oip_probe(url, [DIGITS, WORDS]), waits.append)

    run_against(answer, use)
    assert paths == ["/v2/models/digits/infer"] * 2 + ["/v2/models/words/infer"] * 2
    assert waits == [
        "first inference of digits",
        "first inference of digits: HTTP 503 model is loading",
        "first inference of words",
        "first inference of words: HTTP 503 model is loading",
    ]


def test_a_server_that_does_not_listen_yet_is_waited_for(free_ports: Any) -> None:
    (port,) = free_ports(1)
    probe = oip_probe(f"http://127.0.0.1:{port}", [DIGITS])
    assert asyncio.run(second_wait(probe)) == "first inference of digits: not listening yet"


def test_a_connection_that_breaks_is_not_ready() -> None:
    async def use(url: str) -> None:
        reason = await second_wait(oip_probe(url, [DIGITS]))
        assert reason.startswith("first inference of digits: ServerDisconnectedError")

    async def hang_up(request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    run_against(hang_up, use)


def test_no_model_is_ready_at_once() -> None:
    asyncio.run(wait_ready(Probe(lambda _: pytest.fail("nothing to ask"), ()), lambda _: None))


def test_oip_is_asked_in_binary_form() -> None:
    request = oip_probe("http://h:1", []).request(WORDS)
    assert request.url == "http://h:1/v2/models/words/infer"
    length = int(request.headers["Inference-Header-Content-Length"])
    (entry,) = json.loads(request.body[:length])["inputs"]
    assert entry == {
        "name": "text",
        "datatype": "BYTES",
        "shape": [1, 2],
        "parameters": {"binary_data_size": len(request.body) - length},
    }
    assert request.body[length:] == b"\x01\0\0\0a\0\0\0\0"


def test_torchserve_is_asked_with_the_token_of_the_moment(tmp_path: Path) -> None:
    token_file = tmp_path / "key_file.json"
    probe = torchserve_probe("http://h:1", token_file, [])
    for content in (None, "", '{"inference": {', '{"management": {"key": "m"}}'):
        if content is not None:
            token_file.write_text(content)
        with pytest.raises(NotReady, match="no token file yet"):
            probe.request(DIGITS)
    for key in ("first", "second"):  # a restart writes another
        token_file.write_text(json.dumps({"inference": {"key": key}}))
        request = probe.request(DIGITS)
        assert request.url == "http://h:1/predictions/digits"
        assert request.headers["Authorization"] == f"Bearer {key}"
        assert request.body.endswith(np.array([1.5, -2.0], np.float32).tobytes())


def test_tensorflow_serving_is_asked_in_json() -> None:
    probe = tfserving_probe("http://h:1", [])
    request = probe.request(DIGITS)
    assert request.url == "http://h:1/v1/models/digits:predict"
    assert json.loads(request.body) == {"inputs": {"x": [[1.5, -2.0]]}}
    assert json.loads(probe.request(WORDS).body) == {"inputs": {"text": [[{"b64": "YQ=="}, {"b64": ""}]]}}
