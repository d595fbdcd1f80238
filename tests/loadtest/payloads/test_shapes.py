from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.errors import BadSpec
from loadtest.payloads.shapes import parse_shapes

names = st.text(min_size=1, max_size=8)
sizes = st.lists(st.integers(1, 10**8), min_size=1, max_size=4).map(tuple)


@given(st.dictionaries(names, sizes, max_size=3))
def test_what_is_written_is_read(shapes: dict[str, tuple[int, ...]]) -> None:
    written = [f"{name}:{'x'.join(map(str, shape))}" for name, shape in shapes.items()]
    assert parse_shapes(written) == shapes


@pytest.mark.parametrize("text", ["", "x", "x:", ":1", "x:0", "x:1x0", "x:1x", "x:-1", "x:a", "x:1.5", "x:9999999999"])
def test_bad_shape_is_quoted(text: str) -> None:
    with pytest.raises(BadSpec, match=f"shape {text!r} cannot be read"):
        parse_shapes([text])


def test_input_named_twice() -> None:
    with pytest.raises(BadSpec, match="input 'x' has a shape already"):
        parse_shapes(["x:1", "x:2"])
