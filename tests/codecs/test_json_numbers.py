import json
from typing import Any, Generic, TypeVar

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.codecs.json_data import elements_from_json
from gateway.codecs.json_numbers import TensorDocumentDecoder
from gateway.core.datatypes import Datatype
from gateway.core.errors import InvalidRequest

T = TypeVar("T")


class Part(msgspec.Struct):
    name: str
    datatype: str
    data: Any = msgspec.UNSET


class Whole(msgspec.Struct, Generic[T]):
    parts: list[T]
    id: str = ""


DECODER: TensorDocumentDecoder[Whole[Part]] = TensorDocumentDecoder(Whole, Part)
PLAIN = msgspec.json.Decoder(Whole[Part])

elements = st.integers(-3, 300) | st.floats(width=32, allow_nan=False, allow_infinity=False) | st.booleans() | st.text()
arrays = st.recursive(st.lists(elements, max_size=3), lambda inner: st.lists(inner, max_size=3), max_leaves=5)
parts = st.fixed_dictionaries(
    {"name": st.sampled_from(["x", "FP32", "data"]), "datatype": st.sampled_from(["FP32", "INT32", "UINT8", "FP16"])},
    optional={"data": arrays, "unknown": arrays},
)


def outcome(decoder, raw):
    """What each part's data become, or the words of the refusal."""
    try:
        document = decoder.decode(raw)
    except msgspec.ValidationError as error:
        return str(error)
    return [_element_outcome(part) for part in document.parts]


def _element_outcome(part):
    if part.data is msgspec.UNSET:
        return part.name, part.datatype
    try:
        return part.name, part.datatype, elements_from_json(part.data, Datatype(part.datatype), "data")
    except InvalidRequest as error:
        return error.message


@given(st.lists(parts, min_size=1, max_size=3), st.integers(0, 1), st.randoms(use_true_random=False))
def test_every_document_means_what_it_means_when_read_the_usual_way(documents, indent, random):
    documents = [dict(random.sample(list(one.items()), len(one))) for one in documents]
    raw = json.dumps({"parts": documents}, indent=indent or None).encode()
    assert outcome(DECODER, raw) == outcome(PLAIN, raw)


@pytest.mark.parametrize(
    ("datatype", "data", "checked"),
    [
        ("FP32", [1.5, 2], (1.5, 2.0)),
        ("FP64", [[1], [2]], [(1.0,), (2.0,)]),
        ("INT8", [1, 300], (1, 300)),
        ("INT8", [1.0], [1.0]),
        ("FP32", [True], [True]),
        ("FP32", [], []),
        ("BYTES", ["a"], ["a"]),
        ("FP16", [1], [1]),
    ],
)
def test_numbers_of_the_right_type_are_checked_while_they_are_read(datatype, data, checked):
    raw = json.dumps({"parts": [{"name": "x", "datatype": datatype, "data": data}]}).encode()
    assert DECODER.decode(raw).parts[0].data == checked


def test_integers_among_floats_stay_integers():
    parts = [{"name": "x", "datatype": "FP32", "data": [1]}, {"name": "y", "datatype": "INT64", "data": [2**53 + 1]}]
    document = DECODER.decode(json.dumps({"parts": parts}).encode())
    assert [part.data for part in document.parts] == [[1], [2**53 + 1]]


def test_the_type_is_the_plain_one():
    assert msgspec.convert({"parts": [{"name": "x", "datatype": "FP32", "data": [1]}]}, DECODER.type).parts[0].data == [
        1
    ]
