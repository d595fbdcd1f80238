"""A head that came before is not read again: what comes of it must not tell."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.strategies import requests, responses

from gateway.codecs import oip_documents, oip_grpc, oip_grpc_tensors, oip_http
from gateway.codecs.known_heads import KnownHeads
from gateway.codecs.known_messages import KnownMessages
from gateway.codecs.shared_memory import SWITCHED_OFF
from gateway.core.datatypes import Datatype
from gateway.core.errors import GatewayError, InvalidRequest, PayloadTooLarge
from gateway.core.limits import Limits
from gateway.core.messages import InferRequest, InferResponse, RequestContext
from gateway.core.tensors import Tensor

LIMITS = Limits()
SMALL = Limits(elements=1)


def http_request(message, limits=LIMITS):
    body, header_length = message
    return oip_http.decode_request(body, header_length, "m", "", RequestContext("test", started=0.0), limits)


def grpc_request(data, limits=LIMITS):
    return oip_grpc.decode_request(data, RequestContext("test", started=0.0), limits, SWITCHED_OFF)


def http_response(message):
    return oip_http.decode_response(*message)


def plain(decoded):
    """What was decoded, with tensors' bytes in place of the buffers that hold them."""
    if isinstance(decoded, tuple):
        return tuple(map(plain, decoded))
    for field in ("inputs", "outputs"):
        tensors = getattr(decoded, field, ())
        if any(isinstance(tensor, Tensor) for tensor in tensors):
            decoded = replace(decoded, **{field: tuple(replace(each, data=bytes(each.data)) for each in tensors)})
    return decoded


def outcome(decode, message):
    try:
        return plain(decode(message))
    except GatewayError as error:
        return type(error), error.message


@pytest.fixture(autouse=True)
def strangers():
    forget()


def forget():
    """Nothing is known."""
    oip_http._REQUEST_HEADS, oip_http._RESPONSE_HEADS = KnownHeads(), KnownHeads()
    oip_grpc._REQUESTS = KnownMessages()
    oip_http._WRITTEN_HEADS, oip_grpc._RESPONSES = KnownHeads(), KnownHeads()


def changed(random, data):
    """``data`` with a byte or two of another value, or now and then with some bytes more or less."""
    data = bytearray(data)
    for _ in range(random.randint(1, 2)):
        start = random.randrange(len(data) + 1)
        less, more = random.choice([(1, 1), (1, 1), (1, 1), (0, 1), (1, 0), (len(data), 0)])
        data[start : start + less] = random.randbytes(more) if random.random() < 0.5 else b"x" * more
    return bytes(data)


@st.composite
def like_each_other(draw, encode, messages):
    """A message whose head may be kept, and others, each with the same length of what comes before its binary data."""
    message = replace(draw(messages), id="", parameters={})
    encoded = encode(message)
    body, *length = encoded if isinstance(encoded, tuple) else (encoded,)
    random = draw(st.randoms(use_true_random=True))  # hypothesis' own likes the first byte and zeros too much
    others = [(changed(random, body), *length) for _ in range(20)]
    return encoded, [other if length else other[0] for other in others]


plain_requests = requests().map(lambda request: replace(request, input_parameters={}))


def check(decode, first, others):
    unknown = []
    for message in (first, *others):
        forget()
        unknown.append(outcome(decode, message))
    forget()
    outcome(decode, first)
    assert [outcome(decode, other) for other in (first, *others)] == unknown


@given(like_each_other(oip_grpc.encode_request, plain_requests))
def test_messages_like_one_that_came_before_mean_what_they_say(messages):
    check(grpc_request, *messages)


@given(like_each_other(oip_http.encode_request, plain_requests))
def test_bodies_like_one_that_came_before_mean_what_they_say(messages):
    check(http_request, *messages)


@given(like_each_other(lambda answer: oip_http.encode_response(answer, oip_http.ResponseForm(True, {})), responses()))
def test_answers_like_one_that_came_before_mean_what_they_say(messages):
    check(http_response, *messages)


def request(*tensors, **others):
    inputs = tuple(Tensor(f"input {number}", *tensor) for number, tensor in enumerate(tensors))
    return InferRequest("a model", inputs, RequestContext("test", started=0.0), **others)


FORMS = [(http_request, oip_http.encode_request), (grpc_request, oip_grpc.encode_request)]
BOTH = pytest.mark.parametrize(("decode", "encode"), FORMS, ids=["http", "grpc"])
NUMBERS = (Datatype.FP32, (2,), b"12345678")


def reads(monkeypatch):
    """How often a tensor's head is read."""
    count = []
    for codec in (oip_documents, oip_grpc_tensors):
        parse = codec.parse_datatype
        monkeypatch.setattr(codec, "parse_datatype", lambda *given, parse=parse: count.append(1) or parse(*given))
    return count


@BOTH
def test_a_head_is_read_once(decode, encode, monkeypatch):
    count = reads(monkeypatch)
    for data in (b"12345678", b"abcdefgh", b"ABCDEFGH"):
        asked = request((Datatype.FP32, (2,), data), NUMBERS, outputs=("y",))
        decoded, _ = decode(encode(asked))
        assert [bytes(each.data) for each in decoded.inputs] == [data, b"12345678"]
        assert decoded.outputs == ("y",)
    assert len(count) == 2


@BOTH
def test_a_head_with_an_id_is_not_worth_keeping(decode, encode, monkeypatch):
    count = reads(monkeypatch)
    for _ in range(2):
        decode(encode(request(NUMBERS, id="of this request")))
    assert len(count) == 2


@BOTH
@pytest.mark.parametrize("shape", [(300, 2), (1, 2)])
def test_contents_may_be_of_any_length(decode, encode, shape, monkeypatch):
    count = reads(monkeypatch)
    data = bytes(8 * shape[0])
    for _ in range(2):
        decoded, _ = decode(encode(request((Datatype.FP32, shape, data))))
        assert bytes(decoded.inputs[0].data) == data
    assert len(count) == 1


@BOTH
def test_a_long_head_is_read_again(decode, encode, monkeypatch):
    count = reads(monkeypatch)
    for _ in range(2):
        decode(encode(request(NUMBERS, outputs=("y" * 2000,))))
    assert len(count) == 2


@BOTH
def test_known_elements_are_looked_into(decode, encode):
    decode(encode(request((Datatype.BOOL, (2,), b"\0\1"))))
    with pytest.raises(InvalidRequest, match="a BOOL element"):
        decode(encode(request((Datatype.BOOL, (2,), b"\0\2"))))


@BOTH
def test_other_limits_hold_for_known_heads_too(decode, encode):
    decode(encode(request(NUMBERS)))
    with pytest.raises(PayloadTooLarge):
        decode(encode(request(NUMBERS)), SMALL)


def test_what_looks_like_contents_within_another_field_is_none():
    message = oip_grpc.encode_request(request(NUMBERS))
    unknown = b"\x7a\x0a" + b"\x3a\x08"  # a field 15 that holds what would be eight bytes of contents
    for other in (b"ABCDEFGH", b"IJKLMNOP"):
        decoded, _ = grpc_request(message + unknown + other)
        assert bytes(decoded.inputs[0].data) == b"12345678"


def test_the_oldest_head_makes_room():
    heads = KnownHeads()
    for number in range(2000):
        heads.keep(number, number)
    assert heads.get(1999) == 1999
    assert heads.get(0) is None
    assert sum(heads.get(number) is not None for number in range(2000)) == 1024


# heads that are written


def as_binary(response):
    return oip_http.encode_response(response, oip_http.ResponseForm(default=True, by_name={}))


WRITERS = [
    pytest.param(oip_http.encode_request, requests, id="HTTP request"),
    pytest.param(as_binary, responses, id="HTTP response"),
    pytest.param(oip_grpc.encode_response, responses, id="gRPC response"),
]


@pytest.mark.parametrize(("encode", "messages"), WRITERS)
@given(data=st.data())
def test_what_is_written_does_not_depend_on_what_was_written_before(encode, messages, data):
    several = data.draw(st.lists(messages(), min_size=1, max_size=3))
    several += [replace(each, id="", parameters={}) for each in several]
    alone = []
    for message in several:
        forget()
        alone.append(encode(message))
    forget()
    assert [encode(message) for message in several * 2] == alone * 2


def answer(**changes):
    tensor = {"name": "y", "datatype": Datatype.INT8, "shape": (2, 3), "data": b"abcdef"}
    said = {name: changes.pop(name) for name in ("model", "version", "id", "parameters") if name in changes}
    return InferResponse(**{"model": "m", "version": "1", "outputs": (Tensor(**tensor | changes),)} | said)


@pytest.mark.parametrize("encode", [as_binary, oip_grpc.encode_response])
@pytest.mark.parametrize(
    "change",
    [
        {"model": "n"},
        {"version": "2"},
        {"id": "i"},
        {"parameters": {"p": 1}},
        {"name": "z"},
        {"datatype": Datatype.UINT8},
        {"shape": (3, 2)},
        {"datatype": Datatype.BYTES, "shape": (1,), "data": b"\1\0\0\0a"},
        {"datatype": Datatype.BYTES, "shape": (1,), "data": b"\2\0\0\0ab"},
    ],
)
def test_all_that_a_head_says_counts(encode, change):
    forget()
    expected = encode(answer(**change))
    forget()
    encode(answer())
    encode(answer(datatype=Datatype.BYTES, shape=(1,), data=b"\3\0\0\0abc"))
    assert encode(answer(**change)) == expected
