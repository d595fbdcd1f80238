"""Seeded random payloads made from a signature alone.

Whole numbers are drawn from 0…99, which is a trap avoided: a model that looks them up in a vocabulary fails on a number
beyond it. ``random:COUNT:LOW-HIGH`` gives another range, for every integer input.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from gateway.codecs.torchserve_request import takes_whole_bodies
from gateway.core.datatypes import NUMPY_DTYPE, Datatype
from gateway.core.signatures import TensorSpec
from gateway.core.tensors import Tensor, element_count, join_bytes
from loadtest.errors import BadSpec, PayloadError
from loadtest.payloads.making import make_payload
from loadtest.payloads.shapes import Shapes
from loadtest.payloads.workload import MeasuredModel, Payload

_SPEC = re.compile(r"random(?::(?P<count>\d{1,6}))?(?::(?P<low>\d{1,18})-(?P<high>\d{1,18}))?", re.ASCII)
_MOST = 10_000
_MOST_BYTES = 2**31  # of one input: no protobuf message carries more
_WORD = 8  # letters of a BYTES element
_FLOATS = (Datatype.FP16, Datatype.FP32, Datatype.FP64, Datatype.BF16)


@dataclass(slots=True, frozen=True)
class RandomSpec:
    """How many payloads, and from where to where (included) whole numbers go."""

    count: int = 8
    low: int = 0
    high: int = 99


def parse_random(text: str) -> RandomSpec | None:
    """What ``random``, ``random:16`` and ``random:16:0-30521`` ask for; None when ``text`` is about something else.

    Raises:
        BadSpec: it begins so and cannot be read.
    """
    if text != "random" and not text.startswith("random:"):
        return None
    found = _SPEC.fullmatch(text)
    if found is not None:
        given = {name: int(value) for name, value in found.groupdict().items() if value is not None}
        spec = RandomSpec(**given)
        if 0 < spec.count <= _MOST and spec.low <= spec.high:
            return spec
    raise BadSpec(
        f"payload {text!r} cannot be read; random, random:COUNT (1 to {_MOST}) or random:COUNT:LOW-HIGH is expected"
    )


def random_payloads(
    model: MeasuredModel, version: str, spec: RandomSpec, random: np.random.Generator, *, rows: int, shapes: Shapes
) -> list[Payload]:
    """Payloads of ``rows`` rows, drawn from ``random``; sizes that the model leaves open are of ``shapes``, else 1.

    Raises:
        PayloadError: the model does not tell what it takes, or a shape does not fit it.
    """
    if takes_whole_bodies(model.signature) or not model.signature.inputs:
        raise PayloadError(f"nothing tells what model {model.name} takes, so give its payloads as files: --payload F")
    # What a request may leave out is left out, unless it is asked for by its shape.
    wanted = [each for each in model.signature.inputs if not each.optional or each.name in shapes]
    chosen = [(each, _shape(model, each, rows, shapes)) for each in wanted]
    return [
        make_payload(model, version, [_tensor(each, shape, spec, random) for each, shape in chosen], f"random {number}")
        for number in range(1, spec.count + 1)
    ]


def _shape(model: MeasuredModel, spec: TensorSpec, rows: int, shapes: Shapes) -> tuple[int, ...]:
    shape = shapes.get(spec.name, tuple(1 if size == -1 else size for size in spec.shape))
    if rows > 1:  # the model has a batch dimension then
        shape = (rows, *shape[1:])
    if len(shape) != len(spec.shape) or not spec.accepts_shape(shape):
        raise PayloadError(
            f"shape {_written(shape)} does not fit input {spec.name!r} of model {model.name}, which is "
            f"{_written(spec.shape)}"
        )
    if element_count(shape) * (spec.datatype.itemsize or _WORD) >= _MOST_BYTES:
        raise PayloadError(f"shape {_written(shape)} of input {spec.name!r} is more than a request carries (2 GiB)")
    return shape


def _tensor(spec: TensorSpec, shape: tuple[int, ...], settings: RandomSpec, random: np.random.Generator) -> Tensor:
    count = element_count(shape)
    if spec.datatype is Datatype.BYTES:
        letters = random.integers(ord("a"), ord("z") + 1, (count, _WORD), dtype=np.uint8)
        data = join_bytes(row.tobytes() for row in letters)
    elif spec.datatype is Datatype.BF16:
        # A bfloat16 is the upper half of a float32.
        data = (random.standard_normal(count, dtype=np.float32).view("<u4") >> 16).astype("<u2").tobytes()
    elif spec.datatype in _FLOATS:
        data = random.standard_normal(count).astype(NUMPY_DTYPE[spec.datatype]).tobytes()
    else:
        low, high = (0, 1) if spec.datatype is Datatype.BOOL else _range(spec, settings)
        data = random.integers(low, high, count, endpoint=True).astype(NUMPY_DTYPE[spec.datatype]).tobytes()
    return Tensor(spec.name, spec.datatype, shape, data)


def _range(spec: TensorSpec, settings: RandomSpec) -> tuple[int, int]:
    most = int(np.iinfo(NUMPY_DTYPE[spec.datatype]).max)  # type: ignore[type-var]
    if settings.low > most:
        raise PayloadError(f"{settings.low} is beyond input {spec.name!r}, which is {spec.datatype}")
    return settings.low, min(settings.high, most)


def _written(shape: tuple[int, ...]) -> str:
    return "x".join("?" if size == -1 else str(size) for size in shape) or "a scalar"
