from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import pytest

from gateway.codecs.torchserve_payload import WHOLE_BODIES
from gateway.core.datatypes import Datatype
from loadtest.errors import Failed, Unusable
from loadtest.targets.describe import describe, describer
from loadtest.targets.url import parse_target

DESCRIBING = ["oip+http", "oip-json+http", "oip+grpc", "tfserving+http", "tfserving+grpc"]
MODEL = "echo-FP32-2"


@contextmanager
def answering(status: int, body: bytes) -> Iterator[tuple[str, list[Any]]]:
    """The address of a server that always answers so, and what it was asked."""
    asked: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append((self.path, self.headers.get("authorization")))
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def address_of(echo: dict[str, str]) -> Callable[[str], str]:
    return lambda scheme: echo[scheme.rpartition("+")[2]]


@pytest.mark.parametrize("scheme", DESCRIBING)
def test_every_protocol_that_tells(scheme: str, address_of: Callable[[str], str]) -> None:
    model = describe(parse_target(f"{scheme}://{address_of(scheme)}"), MODEL)
    signature = model.signature
    assert [(spec.name, spec.datatype, spec.shape) for spec in signature.inputs] == [("x", Datatype.FP32, (-1, -1))]
    assert [(spec.name, spec.datatype, spec.shape) for spec in signature.outputs] == [("y", Datatype.FP32, (-1, -1))]
    assert not signature.advisory  # payloads are held to these shapes
    assert (model.name, model.version, model.class_output, model.checksums) == (MODEL, "", "", {})


@pytest.mark.parametrize("scheme", DESCRIBING)
def test_version_is_asked_for(scheme: str, address_of: Callable[[str], str]) -> None:
    target = parse_target(f"{scheme}://{address_of(scheme)}")
    assert describe(target, MODEL, "1").version == "1"
    with pytest.raises(Unusable, match=MODEL):
        describe(target, MODEL, "77")


@pytest.mark.parametrize("scheme", DESCRIBING)
def test_model_that_the_server_does_not_have(scheme: str, address_of: Callable[[str], str]) -> None:
    target = parse_target(f"somebody={scheme}://{address_of(scheme)}")
    with pytest.raises(Unusable, match="somebody has no model 'a/ä' that can be measured: "):
        describe(target, "a/ä")


@pytest.mark.parametrize("scheme", DESCRIBING)
def test_server_that_is_down(scheme: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(Failed, match="does not tell what model 'm' takes"):
        describe(parse_target(f"{scheme}://127.0.0.1:{port}"), "m", timeout=5.0)


@pytest.mark.parametrize("scheme", DESCRIBING)
def test_server_that_never_answers(scheme: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        target = parse_target(f"{scheme}://127.0.0.1:{listener.getsockname()[1]}")
        with pytest.raises(Failed, match="does not tell"):
            describe(target, "m", timeout=0.2)


@pytest.mark.parametrize("scheme", ["oip+http", "tfserving+http"])
@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (500, b"{}", Failed),
        (200, b"garbage", Failed),
        (200, b'{"inputs": [{"name": "x", "datatype": "FP99", "shape": [1]}]}', Failed),
        (404, b'{"error": "unknown"}', Unusable),
        (400, b"\xff", Unusable),
    ],
)
def test_answers_that_tell_nothing(scheme: str, status: int, body: bytes, error: type[Exception]) -> None:
    with answering(status, body) as (address, _), pytest.raises(error, match="'m'"):
        describe(parse_target(f"{scheme}://{address}"), "m")


def test_server_that_tells_no_inputs() -> None:
    with answering(200, b'{"name": "m"}') as (address, _):
        with pytest.raises(Unusable, match="the server does not tell its inputs"):
            describe(parse_target(f"oip+http://{address}"), "m")


def test_signature_that_cannot_be_measured() -> None:
    other = b'{"metadata": {"signature_def": {"signature_def": {"other": {}}}}}'
    with answering(200, other) as (address, _), pytest.raises(Unusable, match=r"it has \['other'\]"):
        describe(parse_target(f"tfserving+http://{address}"), "m")


def test_token_and_path(tmp_path: Any) -> None:
    (tmp_path / "token").write_text("secret")
    with answering(404, b"") as (address, asked), pytest.raises(Unusable):
        describe(parse_target(f"oip+http://{address}?token-file={tmp_path / 'token'}"), "a b", "3")
    assert asked == [("/v2/models/a%20b/versions/3", "Bearer secret")]


@pytest.mark.parametrize("scheme", ["torchserve+http", "torchserve+grpc"])
def test_torchserve_tells_nothing_and_is_not_asked(scheme: str) -> None:
    assert describe(parse_target(f"{scheme}://127.0.0.1:1"), "m").signature == WHOLE_BODIES


def test_the_first_that_tells_is_asked(echo: dict[str, str]) -> None:
    silent = parse_target("torchserve+http://127.0.0.1:1")
    with answering(500, b"") as (address, _):
        broken, sound = parse_target(f"oip+http://{address}"), parse_target(f"oip+grpc://{echo['grpc']}")
        assert describer([silent, broken, sound])(MODEL, "").signature.inputs[0].datatype is Datatype.FP32
        with pytest.raises(Failed, match="HTTP 500"):
            describer([silent, broken])(MODEL, "")
    assert describer([silent])(MODEL, "").signature == WHOLE_BODIES
    with pytest.raises(Unusable, match="there is no server to ask"):
        describer([])(MODEL, "")
