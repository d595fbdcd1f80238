"""Targets for fuzzing: codecs that read what a client sends, and the two ports of a running gateway.

A target is a strategy and a function that takes what it draws, raises when that went wrong, and returns in a word what
became of it.
"""

import gzip
import json
import socket
import zlib
from dataclasses import dataclass
from typing import Any

import grpc
import numpy as np
import requests
from google.protobuf import text_format
from hypothesis import strategies as st

from gateway.codecs import (
    oip_grpc,
    oip_http,
    tfs_grpc,
    tfs_inference,
    tfs_metadata,
    tfs_reload,
    tfs_rest,
    tfs_rest_examples,
    torchserve_grpc,
    torchserve_parts,
)
from gateway.core.errors import GatewayError, InvalidRequest, Unsupported
from gateway.core.limits import Limits
from gateway.core.messages import InferRequest, RequestContext
from gateway.core.tensors import Tensor
from gateway.frontends.compression import Inflater, answer_coding
from gateway.frontends.grpc_server import DOORS
from gateway.protos.loader import message_class
from support import raw_http2 as h2
from support.manifests import make_signature
from support.openapi import cases, check, operations
from support.raw_http import post

LIMITS = Limits(body_bytes=1_000_000)
SIGNATURE = make_signature([("x", "FP32", (-1, 2))], [("y", "FP32", (-1, 2))])
_TENSORS = (
    Tensor.from_numpy("x", np.ones((2, 2), np.float32)),
    Tensor.from_numpy("text", np.array([b"a", b"bc"], object)),
)
_REQUEST = InferRequest("double", _TENSORS, RequestContext("fuzz"), "1", id="7", parameters={"priority": 1})
_OIP_JSON = {
    "id": "7",
    "inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}],
    "outputs": [{"name": "y", "parameters": {"binary_data": True, "classification": 2}}],
    "parameters": {"priority": 1, "timeout": 1000},
}
_EXAMPLES = {"examples": [{"x": [1.5, 2.5], "s": "a", "b": {"b64": "YQ=="}}], "context": {"c": 1}}
_OIP_BINARY, _OIP_LENGTH = oip_http.encode_request(_REQUEST)
_MULTIPART, _MULTIPART_TYPE = torchserve_parts.join_multipart([torchserve_parts.Part("data", b"abc", "text/plain")])


@dataclass(frozen=True)
class Target:
    """``aim`` is called with what ``strategy`` draws."""

    name: str
    strategy: st.SearchStrategy
    aim: Any


@st.composite
def damaged(draw, *seeds):
    """One of ``seeds`` with a few changes, or plain noise."""
    data = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(0, 4))):
        at, size = draw(st.integers(0, len(data))), draw(st.integers(0, 12))
        match draw(st.sampled_from(["cut", "insert", "overwrite", "repeat", "swap", "end"])):
            case "cut":
                del data[at : at + size]
            case "insert":
                data[at:at] = draw(st.one_of(st.binary(max_size=12), st.sampled_from(_TOKENS)))
            case "overwrite":
                data[at : at + size] = draw(st.one_of(st.binary(max_size=12), st.sampled_from(_TOKENS)))
            case "repeat":
                data[at:at] = data[at : at + size] * draw(st.integers(1, 50))
            case "swap":
                other = draw(st.integers(0, len(data)))
                data[at : at + size], data[other : other + size] = data[other : other + size], data[at : at + size]
            case "end":
                del data[at:]
    return bytes(data)


_TOKENS = [
    b"null", b"-1", b"1e999", b"NaN", b"[]", b"{}", b"[[", b'"\\ud800"', b"9223372036854775808",
    b"\xff\xff\xff\xff\x0f", b"\r\n", b"\r\n\r\n", b"0", b"\0", b"%00", b"../", b"BYTES", b"BF16", b"--", b"true",
    b"4294967296",
]  # fmt: skip


# codecs


def _decoder(decode):
    def aim(data):
        try:
            decode(data)
        except GatewayError as error:
            assert isinstance(error, InvalidRequest | Unsupported), repr(error)
            assert len(error.message) <= 1000
            return type(error).__name__
        return "decoded"

    return aim


def _context():
    return RequestContext("fuzz")


def _oip_binary(data):
    oip_http.decode_request(data, _OIP_LENGTH, "m", "", _context(), LIMITS)


def _tfs_predict(data):
    body = tfs_rest.parse_predict_body(data, SIGNATURE, LIMITS)
    tfs_rest.decode_inputs(body, SIGNATURE, LIMITS)


def _inflate(coding):
    return lambda data: Inflater(data, coding, LIMITS).run()


_SPEC = 'model_spec { name: "double" version { value: 1 } signature_name: "s" }'
_FEATURE = 'feature { key: "x" value { float_list { value: [1, 2] } } }'
_EXAMPLE_LIST = f"input {{ example_list {{ examples {{ features {{ {_FEATURE} }} }} }} }}"
_TASK = f'tasks {{ {_SPEC} method_name: "tensorflow/serving/classify" }}'
_METADATA = f'{_SPEC} metadata_field: "signature_def"'
_RELOAD = 'config { model_config_list { config { name: "double" base_path: "/m" model_platform: "tensorflow" } } }'


def _message(name, text):
    """A message of TensorFlow Serving's from its text form."""
    return text_format.Parse(text, message_class(f"tensorflow.serving.{name}")()).SerializeToString()


def codec_targets():
    """One target for each codec that reads requests."""
    plain = json.dumps(_OIP_JSON).encode()
    rows = [json.dumps(body).encode() for body in ({"instances": [[1, 2]]}, {"inputs": {"x": [[1.5, 2]]}})]
    tfs_request = InferRequest("double", _TENSORS[:1], RequestContext("fuzz"), "1")
    packed = [gzip.compress(plain), gzip.compress(b"a" * 100_000), gzip.compress(b"a") * 3]
    decoders = {
        "OIP JSON": ([plain], lambda data: oip_http.decode_request(data, None, "m", "", _context(), LIMITS)),
        "OIP binary": ([_OIP_BINARY], _oip_binary),
        "OIP gRPC": ([oip_grpc.encode_request(_REQUEST)], lambda d: oip_grpc.decode_request(d, _context(), LIMITS)),
        "TF Serving predict": (rows, _tfs_predict),
        "TF Serving examples": (
            [json.dumps(_EXAMPLES).encode()],
            lambda data: tfs_rest_examples.decode_examples(data, LIMITS),
        ),
        "TF Serving gRPC predict": (
            [tfs_grpc.encode_predict_request(tfs_request)],
            lambda data: tfs_grpc.decode_predict_request(data, _context(), LIMITS),
        ),
        "TF Serving gRPC classify": (
            [_message("ClassificationRequest", f"{_SPEC} {_EXAMPLE_LIST}")],
            tfs_inference.decode_classification_request,
        ),
        "TF Serving gRPC multi": (
            [_message("MultiInferenceRequest", f"{_TASK} {_EXAMPLE_LIST}")],
            tfs_inference.decode_multi_request,
        ),
        "TF Serving gRPC metadata": (
            [_message("GetModelMetadataRequest", _METADATA)],
            tfs_metadata.decode_metadata_request,
        ),
        "TF Serving gRPC reload": ([_message("ReloadConfigRequest", _RELOAD)], tfs_reload.decode_reload_request),
        "TorchServe multipart": ([_MULTIPART], lambda data: torchserve_parts.split_body(data, _MULTIPART_TYPE, 10)),
        "TorchServe form": (
            [b"data=1&x=%41&y", b"a=b" * 20],
            lambda data: torchserve_parts.split_body(data, "application/x-www-form-urlencoded", 10),
        ),
        "TorchServe gRPC": (
            [torchserve_grpc.encode_predictions("m", "1", [torchserve_parts.Part("data", b"abc", "")])],
            lambda data: torchserve_grpc.decode_predictions(data, LIMITS),
        ),
        "gzip": (packed, _inflate(b"gzip")),
        "deflate": ([zlib.compress(plain), zlib.compress(bytes(100_000))], _inflate(b"deflate")),
        "Accept-Encoding": ([b"gzip;q=0.5, deflate, *;q=0"], answer_coding),
    }
    return [
        Target(f"codec: {name}", st.one_of(damaged(*seeds), st.binary(max_size=40)), _decoder(decode))
        for name, (seeds, decode) in decoders.items()
    ]


# ports


def _http_bytes(address):
    host, port = address.split(":")

    def aim(data):
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            answer = b""
            try:
                connection.sendall(data)
                connection.shutdown(socket.SHUT_WR)
                while piece := connection.recv(65536):
                    answer += piece
            except (ConnectionError, OSError) as error:
                assert not isinstance(error, TimeoutError), "no answer and no end"
        if not answer:
            return "closed"
        assert answer.startswith(b"HTTP/1."), answer[:80]
        status = int(answer.split(b" ", 2)[1])
        assert status < 500 or status in (501, 503), answer[:500]
        return str(status)

    return aim


def http_seeds():
    """Whole requests of every kind."""
    oip, tfs = "/v2/models/double/infer", "/v1/models/double:predict"
    plain = json.dumps(_OIP_JSON).encode()
    chunks = b"".join(b"%x\r\n%c\r\n" % (1, byte) for byte in plain) + b"0\r\n\r\n"
    return [
        post(oip, plain),
        post(oip, _OIP_BINARY, b"Inference-Header-Content-Length: %d" % _OIP_LENGTH),
        post(oip, gzip.compress(plain), b"Content-Encoding: gzip", b"Accept-Encoding: deflate;q=0.3, gzip"),
        post(oip, plain, b"Connection: Upgrade", b"Upgrade: h2c"),
        post(oip, plain, b"Expect: 100-continue"),
        f"POST {oip} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode() + chunks,
        post(tfs, b'{"instances": [[1, 2]]}') * 2,
        post("/predictions/double", _MULTIPART, f"Content-Type: {_MULTIPART_TYPE}".encode()),
        b"GET /v2/models/double/versions/1/stats?x=%00 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET http://a/v1/models/double/metadata HTTP/1.0\r\n\r\n",
        b"OPTIONS / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    ]


def _grpc_message(channel):
    refused = (
        "INVALID_ARGUMENT",
        "NOT_FOUND",
        "PERMISSION_DENIED",
        "UNIMPLEMENTED",
        "RESOURCE_EXHAUSTED",
        "UNAVAILABLE",
    )

    def aim(drawn):
        path, data = drawn
        try:
            channel.unary_unary(f"/{path}")(data, timeout=10)
        except grpc.RpcError as error:
            assert error.code().name in refused, (path, error.code(), error.details())
            return error.code().name
        return "OK"

    return aim


@st.composite
def _frames(draw):
    block = h2.header_block(f"/{oip_grpc.INFER_METHOD.lstrip('/')}".encode())
    payloads = st.one_of(st.binary(max_size=40), st.just(block), st.just(h2.message(oip_grpc.encode_request(_REQUEST))))
    sent = h2.PREFACE + h2.frame(h2.SETTINGS)
    for _ in range(draw(st.integers(1, 8))):
        kind, flags = draw(st.integers(0, 11)), draw(st.sampled_from([0, 1, 4, 5, 8, 32, 255]))
        sent += h2.frame(kind, flags, draw(st.sampled_from([0, 1, 1, 3, 2, 2**31])), draw(payloads))
    return sent + draw(st.binary(max_size=20))


def _http2_frames(address, channel):
    host, port = address.split(":")
    health = channel.unary_unary("/inference.GRPCInferenceService/ServerLive")

    def aim(data):
        answer = b""
        with socket.create_connection((host, int(port)), timeout=0.02) as connection:
            try:
                connection.sendall(data)
                while piece := connection.recv(65536):
                    answer += piece
            except (ConnectionError, TimeoutError):
                pass  # closed, or waiting for more
        assert health(b"", timeout=10) == b"\x08\x01"
        kinds = set(h2.kinds(answer))
        named = {h2.GOAWAY: "connection given up", h2.RESET: "stream reset", h2.HEADERS: "answered"}
        return next((word for kind, word in named.items() if kind in kinds), "silent")

    return aim


def port_targets(http, grpc_address, channel):
    """The operations as described, bytes and frames that nobody described; ``channel`` leads to ``grpc_address``."""
    session = requests.Session()
    unary = [operation.path for door in DOORS.values() for operation in door.operations if operation.method != "stream"]
    messages = damaged(oip_grpc.encode_request(_REQUEST), b"\x0a\x06double", b"\x0a\x08\x0a\x06double", b"")
    return [
        Target(
            "HTTP port: operations",
            st.one_of([cases(operation) for operation in operations()]),
            lambda case: str(check(case, http, session)),
        ),
        Target("HTTP port: bytes", st.one_of(damaged(*http_seeds()), st.binary(max_size=200)), _http_bytes(http)),
        Target("gRPC port: messages", st.tuples(st.sampled_from(unary), messages), _grpc_message(channel)),
        Target("gRPC port: frames", _frames(), _http2_frames(grpc_address, channel)),
    ]
