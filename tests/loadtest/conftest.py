"""Stand-ins for a running stack: one server that speaks every protocol the load tester does, and a model store."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from support.manifests import make_manifest

from gateway.codecs import oip_grpc, oip_http, tfs_grpc
from gateway.core.datatypes import Datatype
from gateway.core.limits import Limits
from gateway.core.messages import InferRequest, InferResponse, RequestContext
from gateway.core.tensors import Tensor
from loadtest.load.loads import ClosedLoop
from loadtest.load.seeds import Seeds
from loadtest.results.block import Block, Health, pack
from loadtest.results.environment import Environment
from loadtest.results.report import PayloadEntry, Report, TargetResult
from model_store.manifest import save_manifest
from model_store.processing.steps import Softmax, TopK
from model_store.store import ModelStore

MODEL = "tiny"
TOKEN = "secret-token"
WEIGHTS = np.arange(12, dtype=np.float32).reshape(4, 3) % 5
NS = 1_000_000_000


class FakeServer:
    """Answers OIP (HTTP, gRPC), TorchServe's predictions and TF Serving's Predict on two free ports.

    ``mode`` may be changed while it runs: good, wrong-class, wrong-shape, unavailable, garbage.
    """

    def __init__(self) -> None:
        self.mode = "good"
        self.requests: list[tuple[str, str, str]] = []  # protocol, path or method, backend hint or token
        self._http = _HttpServer(("127.0.0.1", 0), _handler(self))
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        self._pool = ThreadPoolExecutor(4)
        self._grpc = grpc.server(self._pool)
        self._grpc.add_generic_rpc_handlers((_GenericHandler(self),))
        self.grpc = f"127.0.0.1:{self._grpc.add_insecure_port('127.0.0.1:0')}"
        self._grpc.start()
        self.http = f"127.0.0.1:{self._http.server_address[1]}"

    def infer(self, request: InferRequest) -> InferResponse:
        scores = request.inputs[0].to_numpy() @ WEIGHTS
        if self.mode == "wrong-class":
            scores = -scores
        if self.mode == "wrong-shape":
            scores = np.concatenate([scores, scores], axis=1)
        return InferResponse(request.model, "1", (Tensor.from_numpy("scores", scores),))

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()
        self._grpc.stop(None).wait()
        self._pool.shutdown()


class _HttpServer(ThreadingHTTPServer):
    request_queue_size = 512  # the tester opens many connections at once


def _handler(server: FakeServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            server.requests.append(("HTTP", self.path, self.headers["accept"]))
            self.answer(200, b"# EOF\n", None)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            hint = self.headers.get("x-gateway-backend") or self.headers.get("authorization") or ""
            server.requests.append(("HTTP", self.path, hint))
            if server.mode == "unavailable":
                return self.answer(503, b'{"error":"busy"}', None)
            if server.mode == "garbage":
                return self.answer(200, b"\x00garbage", None)
            header_length = oip_http.parse_header_length(self.headers.get(oip_http.HEADER_LENGTH))
            context = RequestContext(protocol="fake")
            request, form = oip_http.decode_request(body, header_length, MODEL, "", context, Limits())
            return self.answer(200, *oip_http.encode_response(server.infer(request), form))

        def answer(self, status: int, body: bytes, header_length: int | None) -> None:
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            if header_length is not None:
                self.send_header(oip_http.HEADER_LENGTH, str(header_length))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            pass

    return Handler


class _GenericHandler(grpc.GenericRpcHandler):  # type: ignore[misc]
    def __init__(self, server: FakeServer) -> None:
        self._server = server

    def service(self, details: Any) -> Any:
        codecs = {
            oip_grpc.INFER_METHOD: (lambda *given: oip_grpc.decode_request(*given)[0], oip_grpc.encode_response),
            tfs_grpc.PREDICT_METHOD: (tfs_grpc.decode_predict_request, tfs_grpc.encode_predict_response),
        }
        decode, encode = codecs[details.method]
        hint = dict(details.invocation_metadata).get("x-gateway-backend", "")

        def answer(data: bytes, context: Any) -> bytes:
            self._server.requests.append(("gRPC", details.method, hint))
            if self._server.mode == "unavailable":
                context.abort(grpc.StatusCode.UNAVAILABLE, "busy")
            if self._server.mode == "garbage":
                return b"\xff\xff\xff"
            return encode(self._server.infer(decode(data, RequestContext(protocol="fake"), Limits())))

        return grpc.unary_unary_rpc_method_handler(answer)


@pytest.fixture
def server() -> Iterator[FakeServer]:
    running = FakeServer()
    yield running
    running.close()


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    """A store with one model of 4 numbers in, 3 scores out, and two samples."""
    directory = tmp_path / "models" / MODEL / "1"
    (directory / "samples").mkdir(parents=True)
    for index, row in enumerate(([1, 0, 2, 1], [0, 3, 0, 1])):
        np.save(directory / "samples" / f"{index}.npy", np.array([row], dtype=np.float32))
    manifest = make_manifest(
        MODEL,
        [("x", Datatype.FP32, (-1, 4))],
        [("scores", Datatype.FP32, (-1, 3))],
        postprocessing=(Softmax("scores"), TopK("scores", 3)),
        samples=("samples/0.npy", "samples/1.npy"),
    )
    save_manifest(directory, manifest)
    return ModelStore(tmp_path / "models")


@pytest.fixture
def run_directory(tmp_path: Path, server: FakeServer) -> Path:
    """The run directory of a stack in which ``server`` plays the gateway and every backend."""
    key_file = tmp_path / "key_file.json"
    key_file.write_text(json.dumps({"inference": {"key": TOKEN}}))
    backend = {"state": "ready", "pid": 1, "restarts": 0, "log": "b.log", "url": f"http://{server.http}"}
    backend["grpc"] = server.grpc
    state = {
        "pid": os.getpid(),
        "phase": "ready",
        "gateway": {"state": "ready", "http": server.http, "grpc": server.grpc, "metrics": server.http},
        "models": [MODEL],
        "backends": {
            "torchserve": {
                **backend,
                "kind": "torchserve",
                "server": "TorchServe 1",
                "token_file": str(key_file),
                "grpc": None,
            },
            "tensorflow": {**backend, "kind": "tfserving", "server": "TF Serving 1", "url": None},
            "onnxruntime": {**backend, "kind": "oip", "server": "ONNX Runtime 1"},
        },
    }
    directory = tmp_path / "run"
    directory.mkdir()
    (directory / "state.json").write_text(json.dumps(state))
    return directory


def make_block(
    load: str, repetition: int, times_ms: list[float], *, failures: dict[str, int] | None = None, **fields: Any
) -> Block:
    """A block of one second whose requests were due evenly over it and took ``times_ms``."""
    times = np.array([round(time * 1e6) for time in times_ms], dtype=np.int64)
    zeros = pack(np.zeros(len(times), dtype=np.int64))
    counts = list((failures or {}).values())
    return Block(
        load=load,
        repetition=repetition,
        window_seconds=1.0,
        offered=len(times) + sum(counts),
        payload=zeros,
        scheduled=pack((np.arange(len(times)) * NS // max(len(times), 1)).astype(np.int64)),
        send_lag=fields.pop("send_lag", zeros),
        first_byte=pack(times),
        response_time=pack(times),
        failed_at=pack(np.zeros(sum(counts), dtype=np.int64)),
        failed_kind=pack(np.repeat(np.arange(len(counts)), counts).astype(np.int64)),
        failures=tuple(failures or {}),
        health=Health(generator_cpu=fields.pop("generator_cpu", 0.1)),
        **fields,
    )


@pytest.fixture
def block() -> Callable[..., Block]:
    return make_block


@pytest.fixture
def report() -> Report:
    """Two targets under two loads: through the gateway 2 ms (50/s at 64), directly 1 ms (40/s at 64)."""

    def target(via: str, median: float, rate: int) -> TargetResult:
        alone = [make_block("closed:1", n, [median + n / 100] * 70) for n in range(10)]
        busy = [make_block("closed:64", n, [median * 10] * rate) for n in range(10)]
        return TargetResult(
            name=f"onnxruntime {via} HTTP",
            backend="onnxruntime",
            via=via,
            protocol="HTTP",
            wire="oip",
            server="ONNX Runtime <1>",
            blocks=(*alone, *busy),
        )

    return Report(
        scenario="compare",
        model=MODEL,
        version="1",
        payloads=(PayloadEntry(model=MODEL, version="1", label="0.npy", rows=1, weight=1.0, sha256="00"),),
        started="2026-01-02T03:04:05+00:00",
        seconds=10,
        seeds=Seeds(1, 2, 3),
        timeout=30,
        most_in_flight=512,
        interrupted=False,
        stolen_cpu=0.0,
        environment=Environment(cpu="Some CPU", cores=2, memory_gib=8, system="Linux", python="3.11"),
        loads=(ClosedLoop(concurrency=1), ClosedLoop(concurrency=64)),
        targets=(target("gateway", 2.0, 50), target("direct", 1.0, 40)),
    )
