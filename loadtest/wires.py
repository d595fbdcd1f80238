"""Turns the model's samples into one target's bytes, and its answers back into tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from urllib.parse import quote

from gateway.codecs import oip_grpc, oip_http, tfs_grpc
from gateway.core.messages import InferRequest, InferResponse
from loadtest.clients import Answer, Client
from loadtest.clients.grpc import GrpcClient
from loadtest.clients.http import HttpClient, encode_post
from loadtest.clock import Clock
from loadtest.targets import Target

BACKEND_HINT = "x-gateway-backend"


@dataclass(slots=True, frozen=True)
class Line:
    """An open way to one target: a client that holds the encoded samples, and the decoder of its answers."""

    client: Client
    decode: Callable[[Answer], InferResponse]


def open_line(target: Target, requests: Sequence[InferRequest], *, clock: Clock, timeout: float) -> Line:
    """Encode ``requests`` for ``target``; nothing is sent yet. ``timeout`` is in seconds for each request."""
    open_client = _open_http if target.protocol == "HTTP" else _open_grpc
    return open_client(target, requests, clock=clock, timeout=timeout)


def _open_http(target: Target, requests: Sequence[InferRequest], *, clock: Clock, timeout: float) -> Line:
    host, _, port = target.address.rpartition(":")
    encoded = [_encode_http(target, request) for request in requests]
    client = HttpClient(host, int(port), encoded, clock=clock, timeout=timeout)
    return Line(client, lambda answer: oip_http.decode_response(answer.body, answer.header_length))


def _encode_http(target: Target, request: InferRequest) -> bytes:
    body, header_length = oip_http.encode_request(request)
    headers = {"content-type": "application/octet-stream" if header_length is not None else "application/json"}
    if header_length is not None:
        headers[oip_http.HEADER_LENGTH] = str(header_length)
    if target.via == "gateway":
        headers[BACKEND_HINT] = target.backend
    if target.token:
        headers["Authorization"] = f"Bearer {target.token}"
    torchserve_path = f"/predictions/{quote(request.model, safe='')}"
    path = torchserve_path if target.wire == "torchserve" else oip_http.infer_path(request.model, request.version)
    return encode_post(target.address, path, headers, body)


def _open_grpc(target: Target, requests: Sequence[InferRequest], *, clock: Clock, timeout: float) -> Line:
    if target.wire == "tfserving":
        method, encode, decode = (
            tfs_grpc.PREDICT_METHOD,
            tfs_grpc.encode_predict_request,
            tfs_grpc.decode_predict_response,
        )
    else:
        method, encode, decode = oip_grpc.INFER_METHOD, oip_grpc.encode_request, oip_grpc.decode_response
    metadata = [(BACKEND_HINT, target.backend)] if target.via == "gateway" else []
    encoded = [encode(request) for request in requests]
    client = GrpcClient(target.address, method, encoded, clock=clock, timeout=timeout, metadata=metadata)
    return Line(client, partial(_decode_body, decode))


def _decode_body(decode: Callable[[bytes], InferResponse], answer: Answer) -> InferResponse:
    return decode(answer.body)
