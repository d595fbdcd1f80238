"""Hypothesis strategies for the messages of gateway.core."""

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gateway.core.datatypes import NUMPY_DTYPE, Datatype
from gateway.core.messages import InferRequest, InferResponse, RequestContext
from gateway.core.tensors import Tensor, element_count, join_bytes

names = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=8)
shapes = st.lists(st.integers(0, 4), max_size=4).map(tuple)
JSON_DATATYPES = tuple(set(Datatype) - {Datatype.FP16, Datatype.BF16})
# These mean something to the gateway; hypothesis finds them in the code.
RESERVED = ("binary_data_output", "classification", "nan_tokens", "priority", "timeout")
parameters = st.dictionaries(
    names.filter(lambda name: name not in RESERVED and not name.startswith("triton_")),
    st.one_of(
        st.booleans(),
        st.integers(-(2**63), 2**64 - 1),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(max_size=5),
    ),
    max_size=3,
)


@st.composite
def tensors(draw, datatypes=tuple(Datatype), name=names):
    """Any tensor: every bit pattern of every datatype, empty and scalar shapes, arbitrary BYTES."""
    datatype, shape = draw(st.sampled_from(datatypes)), draw(shapes)
    count = element_count(shape)
    if datatype is Datatype.BYTES:
        elements = draw(st.lists(st.binary(max_size=6), min_size=count, max_size=count))
        return Tensor(draw(name), datatype, shape, join_bytes(elements))
    if datatype is Datatype.BOOL:
        data = bytes(draw(st.lists(st.integers(0, 1), min_size=count, max_size=count)))
    else:
        data = draw(st.binary(min_size=count * datatype.itemsize, max_size=count * datatype.itemsize))
    return Tensor(draw(name), datatype, shape, data)


@st.composite
def json_tensors(draw, name=names):
    """Any tensor that JSON can carry: no half floats, finite numbers, UTF-8."""
    datatype, shape = draw(st.sampled_from(JSON_DATATYPES)), draw(shapes)
    if datatype is Datatype.BYTES:
        count = element_count(shape)
        texts = draw(st.lists(st.text(max_size=4), min_size=count, max_size=count))
        return Tensor(draw(name), datatype, shape, join_bytes(texts))
    dtype = NUMPY_DTYPE[datatype]
    elements = hnp.from_dtype(dtype, allow_nan=False, allow_infinity=False) if dtype.kind == "f" else None
    array = draw(hnp.arrays(dtype, shape, elements=elements))
    return Tensor.from_numpy(draw(name), np.asarray(array))


def _unique(strategy):
    return st.lists(strategy, min_size=1, max_size=3, unique_by=lambda tensor: tensor.name).map(tuple)


def requests(of=None):
    """Any request; ``of`` is a strategy for its tensors."""
    return st.builds(
        InferRequest,
        model=names,
        version=st.sampled_from(["", "1", "7"]),
        id=st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=5),
        inputs=_unique(of if of is not None else tensors()),
        outputs=st.lists(names, max_size=2, unique=True).map(tuple),
        parameters=parameters,
        context=st.just(RequestContext("test", started=0.0)),
    )


def responses(of=None):
    """Any response; ``of`` is a strategy for its tensors."""
    return st.builds(
        InferResponse,
        model=names,
        version=st.sampled_from(["1", "7"]),
        id=st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=5),
        outputs=_unique(of if of is not None else tensors()),
        parameters=parameters,
    )
