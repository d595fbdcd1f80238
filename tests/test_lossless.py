"""Every tensor through every front door to every backend: bit for bit, or refused with the documented reason."""

import asyncio
import contextlib
import math
import os

import aiohttp
import grpc
import numpy as np
import pytest
import uvloop
from hypothesis import Phase, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from support import wire_clients as clients
from support.echo import HANDLERS, MODELS, RANKS, Echo, model_name
from support.gateways import running, settings

from gateway import app
from gateway.codecs import forms
from gateway.core.datatypes import NUMPY_DTYPE, Datatype
from gateway.core.tensors import Tensor, element_count, join_bytes, split_bytes

EXAMPLES = int(os.environ.get("LOSSLESS_EXAMPLES", "10"))  # `make fuzz` asks for more
DOORS = {
    "OIP JSON": (clients.oip_json, forms.OIP_JSON),
    "OIP binary": (clients.oip_binary, forms.OIP_BINARY),
    "OIP gRPC raw": (clients.oip_grpc, forms.OIP_GRPC),
    "OIP gRPC typed": (clients.oip_grpc_typed, forms.OIP_GRPC_TYPED),
    "TFS REST columns": (clients.tfs_rest_columns, forms.TFS_REST),
    "TFS REST rows": (clients.tfs_rest_rows, forms.TFS_REST),
    "TFS gRPC content": (clients.tfs_grpc, forms.TFS_GRPC),
    "TFS gRPC values": (clients.tfs_grpc_typed, forms.TFS_GRPC),
    "TorchServe OIP": (clients.torchserve_oip, forms.OIP_BINARY),
    "TorchServe OIP gRPC": (clients.torchserve_oip_grpc, forms.OIP_BINARY),
}
BACKENDS = {
    "here": forms.OIP_BINARY,
    "oip-http": forms.OIP_BINARY,
    "oip-grpc": forms.OIP_GRPC,
    "tfs-grpc": forms.TFS_GRPC,
    "tfs-rest": forms.TFS_REST,
    "torchserve-http": forms.OIP_BINARY,
    "torchserve-grpc": forms.OIP_BINARY,
}

# The smallest and largest numbers, both zeros, infinities, NaNs that differ in sign and payload, denormals.
SPECIAL = {
    Datatype.FP16: [0x0000, 0x8000, 0x0001, 0x83FF, 0x7BFF, 0x7C00, 0xFC00, 0x7E00, 0x7D01, 0xFFFF, 0x3C00],
    Datatype.BF16: [0x0000, 0x8000, 0x0001, 0x807F, 0x7F7F, 0x7F80, 0xFF80, 0x7FC0, 0x7F81, 0xFFFF, 0x3F80],
    Datatype.FP32: [0, 1 << 31, 1, 0x807FFFFF, 0x7F7FFFFF, 0x7F800000, 0xFF800000, 0x7FC00000, 0x7F800001, 0xFFFFFFFF],
    Datatype.FP64: [0, 1 << 63, 1, 0x800FFFFFFFFFFFFF, 0x7FEFFFFFFFFFFFFF, 0x7FF0 << 48, 0xFFF0 << 48, 0x7FF8 << 48,
                    (0x7FF0 << 48) + 1, (1 << 64) - 1],
}  # fmt: skip
NOT_A_NUMBER, OTHER_NAN, NOT_FINITE, NOT_TEXT, EMPTY = (
    "NaN",
    "NaN with sign or payload",
    "infinity",
    "not UTF-8",
    "empty, of several dimensions",
)


def special(datatype):
    """Bit patterns: for integers the extremes, signed or not."""
    bits = 8 * datatype.itemsize
    return SPECIAL.get(datatype, [0, 1, (1 << bits) - 1, 1 << (bits - 1), (1 << (bits - 1)) - 1])


def is_odd(datatype, pattern):
    """Whether it is an infinity or no number, which JSON answers refuse."""
    if datatype not in (Datatype.FP32, Datatype.FP64):
        return False
    return not np.isfinite(np.frombuffer(pattern.to_bytes(datatype.itemsize, "little"), NUMPY_DTYPE[datatype])[0])


@st.composite
def cases(draw, datatype):
    """A tensor of ``datatype`` with rank 0 to 8 and the values that go wrong first."""
    shape = tuple(draw(st.lists(st.integers(0, 3), max_size=8).filter(lambda sizes: math.prod(sizes) <= 64)))
    count = element_count(shape)
    if datatype is Datatype.BYTES:
        element = st.one_of(st.binary(max_size=5), st.text(max_size=3).map(str.encode), st.just(b"\x00"))
        return Tensor("x", datatype, shape, join_bytes(draw(st.lists(element, min_size=count, max_size=count))))
    if datatype is Datatype.BOOL:
        return Tensor("x", datatype, shape, bytes(draw(st.lists(st.integers(0, 1), min_size=count, max_size=count))))
    bits = 8 * datatype.itemsize
    pattern = st.one_of(st.sampled_from(special(datatype)), st.integers(0, (1 << bits) - 1))
    patterns = draw(st.lists(pattern, min_size=count, max_size=count))
    return Tensor("x", datatype, shape, b"".join(p.to_bytes(bits // 8, "little") for p in patterns))


def kinds(tensor):
    """What is special about the values of ``tensor``, in the words of this test."""
    found = set()
    if tensor.datatype is Datatype.BYTES:
        for element in split_bytes(tensor.data, "x"):
            try:
                element.decode()
            except UnicodeDecodeError:
                found.add(NOT_TEXT)
    elif tensor.datatype in (Datatype.FP32, Datatype.FP64):
        array = np.frombuffer(tensor.data, NUMPY_DTYPE[tensor.datatype])
        found |= {NOT_A_NUMBER} if np.isnan(array).any() else set()
        usual = np.array(np.nan, array.dtype).tobytes()
        found |= {OTHER_NAN} if any(number.tobytes() != usual for number in array[np.isnan(array)]) else set()
        found |= {NOT_FINITE} if np.isinf(array).any() else set()
    if len(tensor.shape) > 1 and 0 in tensor.shape[:-1]:
        found.add(EMPTY)
    return found


def refusals(form, tensor, side):
    """Why ``form`` does not carry ``tensor`` on that ``side``, any of several words each; empty when it does."""
    reasons = {form.refused[tensor.datatype]} if tensor.datatype in form.refused else set()
    found = kinds(tensor)
    if form is forms.OIP_JSON:
        reasons |= {"UTF-8"} if NOT_TEXT in found else set()
        reasons |= {"NaN or Infinity"} if found & {NOT_A_NUMBER, NOT_FINITE} else set()
    if form is forms.TFS_REST:
        reasons |= {"shape|empty|rank|dimensions"} if EMPTY in found else set()
        reasons |= {"NaN"} if side == "backend" and OTHER_NAN in found else set()
    return reasons


def same(left, right, *, any_nan):
    """Whether two tensors are equal bit for bit; ``any_nan`` takes one NaN for another."""
    if (left.datatype, left.shape) != (right.datatype, right.shape):
        return False
    if bytes(left.data) == bytes(right.data):
        return True
    if not any_nan:
        return False
    one, other = left.to_numpy(), right.to_numpy()
    both_nan = np.isnan(one) & np.isnan(other)
    return np.where(both_nan, 0, one).tobytes() == np.where(both_nan, 0, other).tobytes()


@pytest.fixture(scope="module")
def loop():
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        yield runner


@pytest.fixture(scope="module")
def targets(loop, tmp_path_factory):
    """The gateway, once for each backend: servers of every protocol that give back what they get."""
    store = tmp_path_factory.mktemp("no-models")
    build = app._build_backend
    patch = pytest.MonkeyPatch()
    patch.setattr(app, "_build_backend", lambda name, s, w: Echo(name) if name == "here" else build(name, s, w))
    here = {"kind": "embedded", "engine": "onnxruntime", "models": MODELS}
    exits = contextlib.AsyncExitStack()
    rarely = {"interval": 3600}  # checks of so many models on so many backends would take most of the time

    async def start():
        _, echo = await exits.enter_async_context(running(settings(store, {"here": here}, health=rarely)))
        oip = {"kind": "oip", "url": f"http://{echo['http']}", "grpc": echo["grpc"], "models": MODELS}
        tfs = {"kind": "tfserving", "url": f"http://{echo['http']}", "grpc": echo["grpc"], "models": MODELS}
        torchserve = {"kind": "torchserve", "url": f"http://{echo['http']}", "models": MODELS, "handlers": HANDLERS}
        backends = {
            "here": here,
            "oip-http": {**oip, "protocol": "http"},
            "oip-grpc": {**oip, "protocol": "grpc"},
            "tfs-grpc": {**tfs, "protocol": "grpc"},
            "tfs-rest": {**tfs, "protocol": "rest"},
            "torchserve-http": torchserve,
            "torchserve-grpc": {**torchserve, "protocol": "grpc", "grpc": echo["grpc"]},
        }
        _, front = await exits.enter_async_context(running(settings(store, backends, health=rarely)))
        session = await exits.enter_async_context(aiohttp.ClientSession())
        channel = await exits.enter_async_context(grpc.aio.insecure_channel(front["grpc"]))
        return {name: clients.Target(session, channel, front["http"], name) for name in BACKENDS}

    yield loop.run(start())
    loop.run(exits.aclose())
    patch.undo()


async def outcome(client, target, tensor):
    try:
        return await client(target, model_name(tensor.datatype, len(tensor.shape)), tensor)
    except clients.Refused as refused:
        return refused


def check(tensor, door, backend, answer):
    """Hold one answer against the table."""
    into, out = DOORS[door][1], BACKENDS[backend]
    reasons = refusals(into, tensor, "door") | refusals(out, tensor, "backend")
    if into is forms.TFS_REST:
        reasons.discard("NaN")  # the client's JSON has made it the usual one
    case = f"{tensor} through {door} to {backend}: {answer}"
    if reasons:
        assert isinstance(answer, clients.Refused), f"should be refused because of {reasons}: {case}"
        assert any(any(part in answer.message for part in reason.split("|")) for reason in reasons), case
        return
    assert not isinstance(answer, clients.Refused), case
    assert same(tensor, answer, any_nan=into is forms.TFS_REST), case


async def ask_all(targets, tensor):
    for door, (client, _) in DOORS.items():
        if door == "TFS REST rows" and (not tensor.shape or tensor.shape[0] == 0):
            continue  # the form has no rows then
        for backend, target in targets.items():
            check(tensor, door, backend, await outcome(client, target, tensor))


@pytest.mark.parametrize("datatype", Datatype)
def test_special_values_of_every_rank(loop, targets, datatype):
    if datatype is Datatype.BYTES:
        elements = [b"", b"\x00", "é".encode(), b"text"]
    elif datatype is Datatype.BOOL:
        elements = [b"\x00", b"\x01"]
    else:
        finite = [pattern for pattern in special(datatype) if not is_odd(datatype, pattern)]
        elements = [pattern.to_bytes(datatype.itemsize, "little") for pattern in finite]
    data = join_bytes(elements) if datatype is Datatype.BYTES else b"".join(elements)
    for rank in RANKS:
        shape = (1,) * (rank - 1) + (len(elements),) if rank else ()
        one = elements[-1] if datatype is not Datatype.BYTES else join_bytes(elements[-1:])
        loop.run(ask_all(targets, Tensor("x", datatype, shape, data if rank else one)))


@pytest.mark.parametrize("datatype", Datatype)
def test_every_pair_carries_every_bit_or_says_why_not(loop, targets, datatype):
    @hypothesis_settings(max_examples=EXAMPLES, deadline=None, phases=[Phase.generate])
    @given(cases(datatype))
    def every_pair(tensor):
        loop.run(ask_all(targets, tensor))

    every_pair()
