from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest
from support.load_servers import bf16_workload, echo_payload, mixed_workload, payload_of

from gateway.core.datatypes import Datatype
from gateway.core.signatures import Signature
from gateway.core.tensors import Tensor
from loadtest.calls import Call
from loadtest.clients import ask
from loadtest.clock import open_clock
from loadtest.errors import PayloadError
from loadtest.payloads.workload import MeasuredModel, Workload
from loadtest.targets.line import checked, encode_workload, open_line
from loadtest.targets.target import Target
from loadtest.targets.wires import FORMS


def target(wire: Any = "oip", protocol: Any = "HTTP", **fields: Any) -> Target:
    given = {"backend": "here", "server": "", "via": "direct", "address": "127.0.0.1:9", "name": "a target"}
    return Target(wire=wire, protocol=protocol, **given | fields)


async def answers(chosen: Target, workload: Workload) -> list[tuple[Call, Any]]:
    with open_clock() as clock:
        line = open_line(chosen, workload, clock=clock, timeout=5.0)
        try:
            await line.client.connect(1)
            calls = [await ask(line.client, number, clock) for number in range(len(workload.payloads))]
        finally:
            await line.client.close()
        return [(call, call.failure or line.decode(call.payload, call.body, call.header_length)) for call in calls]


@pytest.mark.parametrize(("wire", "protocol"), FORMS)
def test_every_form_through_a_real_gateway(wire: Any, protocol: Any, echo: dict[str, str]) -> None:
    workload = mixed_workload()
    came = asyncio.run(answers(target(wire, protocol, address=echo[protocol.lower()]), workload))
    for payload, (call, answer) in zip(workload.payloads, came, strict=True):
        assert (call.failure, call.detail) == ("", "")
        (sent,), (output,) = payload.request.inputs, answer.outputs
        assert (output.datatype, output.shape, bytes(output.data)) == (sent.datatype, sent.shape, sent.data)


@pytest.mark.parametrize(("hint", "served"), [("left", True), ("right", True), ("none", False)])
@pytest.mark.parametrize(("wire", "protocol"), FORMS)
def test_the_hint_chooses_the_backend(wire: Any, protocol: Any, hint: str, served: bool, echo: dict[str, str]) -> None:
    aimed = target(wire, protocol, address=echo[protocol.lower()], hint=hint)
    ((call, _), *_) = asyncio.run(answers(aimed, mixed_workload()))
    assert (call.failure == "") is served


def test_token_and_hint_are_headers() -> None:
    (request,) = encode_workload(target(token="secret", hint="b", address="[::1]:80"), Workload((echo_payload([1]),)))
    head = request.partition(b"\r\n\r\n")[0].lower().split(b"\r\n")
    assert {b"authorization: bearer secret", b"x-gateway-backend: b", b"host: [::1]:80"} <= set(head)


def test_without_token_and_hint_there_are_no_such_headers() -> None:
    (request,) = encode_workload(target(), Workload((echo_payload([1]),)))
    assert b"authorization" not in request.lower()
    assert b"x-gateway-backend" not in request.lower()


@pytest.mark.parametrize(("wire", "protocol"), [("oip-json", "HTTP"), ("tfserving", "HTTP")])
def test_a_payload_that_a_wire_cannot_carry_is_the_targets_problem(wire: Any, protocol: Any) -> None:
    lame, sound, broken = checked([target(wire, protocol), target(), target(problem="it is down")], bf16_workload())
    assert lame.problem.startswith(f"{FORMS[wire, protocol].label} cannot carry payload 'half' of model echo-BF16-1: ")
    assert "BF16: " in lame.problem
    assert (sound.problem, broken.problem) == ("", "it is down")
    with pytest.raises(PayloadError, match="cannot carry payload 'half'"):
        encode_workload(target(wire, protocol), bf16_workload())


@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_numbers_that_json_cannot_carry(number: float) -> None:
    (json_one,) = checked([target("oip-json")], Workload((echo_payload(np.array([number], np.float32)),)))
    assert "cannot carry NaN and Infinity" in json_one.problem


def test_answers_without_datatypes_need_the_models_outputs() -> None:
    model = MeasuredModel("m", "", Signature((), ()), "", {})
    workload = Workload((payload_of(model, [Tensor("x", Datatype.FP32, (1,), bytes(4))]),))
    rest, binary = checked([target("tfserving"), target()], workload)
    assert "the model's outputs are not known" in rest.problem
    assert binary.problem == ""
