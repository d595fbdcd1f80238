"""A small client of the gateway, for the command line: one inference over HTTP or gRPC."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import aiohttp
import grpc
import orjson

from gateway.codecs import oip_grpc, oip_http
from gateway.core.errors import GatewayError
from gateway.core.messages import InferRequest, InferResponse


class ClientError(Exception):
    """The gateway could not be reached, or refused; the message is meant for the user."""


@dataclass(slots=True, frozen=True)
class Answer:
    """A response, with what the gateway measured: ``timing`` holds milliseconds by name."""

    response: InferResponse
    served_by: str
    timing: dict[str, float]


async def infer(
    protocol: Literal["http", "grpc"], address: str, request: InferRequest, backend: str, *, timeout: float
) -> Answer:
    """Send ``request`` to the gateway at ``address`` (host:port), asking for ``backend`` unless it is empty.

    Raises:
        ClientError: no gateway there, or it answered with an error.
    """
    hints = {"x-gateway-backend": backend} if backend else {}
    try:
        if protocol == "http":
            return await _infer_http(address, request, hints, timeout)
        return await _infer_grpc(address, request, hints, timeout)
    except GatewayError as error:
        raise ClientError(error.message) from None


async def get_json(address: str, path: str, *, timeout: float = 5.0) -> Any:
    """The JSON document at ``path`` on the gateway at ``address``.

    Raises:
        ClientError: no gateway there, or it answered with an error.
    """
    return await _exchange_json("GET", address, path, timeout)


async def post_json(address: str, path: str, *, timeout: float) -> Any:
    """The JSON answer of the gateway at ``address`` to an empty POST to ``path``; raises as ``get_json``."""
    return await _exchange_json("POST", address, path, timeout)


async def patch_json(address: str, path: str, document: Any, *, timeout: float) -> Any:
    """The JSON answer of the gateway at ``address`` when ``document`` patches ``path``; raises as ``get_json``."""
    return await _exchange_json("PATCH", address, path, timeout, document)


async def _exchange_json(method: str, address: str, path: str, timeout: float, document: Any = None) -> Any:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=timeout)) as session:
        try:
            async with session.request(method, f"http://{address}{path}", json=document) as answer:
                return _parse(answer.status, await answer.read())
        except (aiohttp.ClientError, TimeoutError) as error:
            raise _unreachable(address) from error


async def _infer_http(address: str, request: InferRequest, hints: dict[str, str], timeout: float) -> Answer:
    body, header_length = oip_http.encode_request(request)
    headers = {oip_http.HEADER_LENGTH: str(header_length), "Content-Type": "application/octet-stream", **hints}
    url = f"http://{address}{oip_http.infer_path(request.model, request.version)}"
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=timeout)) as session:
        try:
            async with session.post(url, data=body, headers=headers) as answer:
                payload = await answer.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise _unreachable(address) from error
    if answer.status != 200:
        _parse(answer.status, payload)
    length = oip_http.parse_header_length(answer.headers.get(oip_http.HEADER_LENGTH))
    return _answer(oip_http.decode_response(payload, length), answer.headers)


async def _infer_grpc(address: str, request: InferRequest, hints: dict[str, str], timeout: float) -> Answer:
    async with grpc.aio.insecure_channel(address, options=(("grpc.max_receive_message_length", -1),)) as channel:
        call = channel.unary_unary(oip_grpc.INFER_METHOD)(
            oip_grpc.encode_request(request), metadata=tuple(hints.items()), timeout=timeout
        )
        try:
            payload = await call
            return _answer(oip_grpc.decode_response(payload), dict(await call.trailing_metadata()))
        except grpc.aio.AioRpcError as error:
            if (error.details() or "").startswith("failed to connect"):
                raise _unreachable(address) from error
            raise ClientError(f"{error.code().name}: {error.details()}") from None


def _answer(response: InferResponse, measured: Any) -> Answer:
    timing: dict[str, float] = {}
    for entry in measured.get("server-timing", "").split(", "):
        name, _, duration = entry.partition(";dur=")
        if duration:
            timing[name] = float(duration)
    return Answer(response, measured.get("x-gateway-served-by", ""), timing)


def _parse(status: int, body: bytes) -> Any:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise ClientError(f"HTTP {status}: the answer is no JSON; is this a gateway?") from None
    if status != 200:
        raise ClientError(f"HTTP {status}: {document.get('error', document)}")
    return document


def _unreachable(address: str) -> ClientError:
    return ClientError(f"no gateway answers at {address}; start one with: gateway up")
