"""Opens the way to one target: its client holds the whole workload, encoded beforehand."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from gateway.core.errors import GatewayError
from gateway.core.messages import InferResponse
from loadtest.clients import Client
from loadtest.clients.grpc import GrpcClient
from loadtest.clients.http import HttpClient, encode_post
from loadtest.clock import Clock
from loadtest.errors import PayloadError
from loadtest.payloads.workload import Payload, Workload
from loadtest.targets.target import Target
from loadtest.targets.wires import FORMS, Form, Message

BACKEND_HINT = "x-gateway-backend"


@dataclass(slots=True, frozen=True)
class Line:
    """An open way to one target.

    Attributes:
        client: its requests are numbered as the workload's payloads are.
        decode: number of the payload, body and header length of an answer → the answer; raises GatewayError when the
            answer breaks the protocol.
    """

    client: Client
    decode: Callable[[int, bytes, int | None], InferResponse]


def open_line(target: Target, workload: Workload, *, clock: Clock, timeout: float) -> Line:
    """Encode ``workload`` for ``target``; nothing is sent yet. ``timeout`` is in seconds for each request.

    Raises:
        PayloadError: a payload has no form on the target's wire; see ``checked``.
    """
    form = FORMS[target.wire, target.protocol]
    encoded = encode_workload(target, workload)

    def decode(payload: int, body: bytes, header_length: int | None) -> InferResponse:
        return form.decode(workload.payloads[payload], body, header_length)

    if target.protocol == "HTTP":
        host, _, port = target.address.rpartition(":")
        return Line(HttpClient(host, int(port), encoded, clock=clock, timeout=timeout), decode)
    client = GrpcClient(
        target.address, form.method, encoded, clock=clock, timeout=timeout, metadata=list(_hints(target).items())
    )
    return Line(client, decode)


def encode_workload(target: Target, workload: Workload) -> list[bytes]:
    """One HTTP request or gRPC message for each payload, in order.

    Raises:
        PayloadError: a payload has no form on the target's wire.
    """
    form = FORMS[target.wire, target.protocol]
    messages = [_encode(form, target, payload) for payload in workload.payloads]
    if target.protocol == "gRPC":
        return [message.body for message in messages]
    hints = _hints(target)
    return [
        encode_post(target.address, message.path, {**message.headers, **hints}, message.body) for message in messages
    ]


def checked(targets: Iterable[Target], workload: Workload) -> list[Target]:
    """``targets``, those whose wire cannot carry ``workload`` with the reason as their ``problem``."""
    return [target if target.problem else replace(target, problem=_refusal(target, workload)) for target in targets]


def _refusal(target: Target, workload: Workload) -> str:
    form = FORMS[target.wire, target.protocol]
    try:
        for payload in workload.payloads:
            _encode(form, target, payload)
    except PayloadError as error:
        return str(error)
    return ""


def _encode(form: Form, target: Target, payload: Payload) -> Message:
    signature = payload.model.signature
    reason = form.carries.refusal(signature)
    if not reason and not form.typed and not signature.outputs:
        reason = "its answers name no datatypes, and the model's outputs are not known"
    if not reason:
        try:
            form.carries.check(target.name, payload.request)
            return form.encode(payload)
        except GatewayError as error:
            reason = error.message
    raise PayloadError(f"{form.label} cannot carry payload {payload.label!r} of model {payload.model.name}: {reason}")


def _hints(target: Target) -> dict[str, str]:
    """What travels beside every request; lower case, as gRPC wants it."""
    hints = {BACKEND_HINT: target.hint} if target.hint else {}
    return hints | ({"authorization": f"Bearer {target.token}"} if target.token else {})
