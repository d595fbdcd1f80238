import json

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.codecs.json_document import decode_json
from gateway.core.errors import InvalidRequest

ANYTHING = msgspec.json.Decoder()
# Strings that mislead whoever counts brackets without knowing where strings end.
texts = st.text(st.sampled_from('[]{}"\\/bfnrtua 1é'), max_size=6)
documents = st.recursive(
    st.integers() | texts, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3)
)


def depth(document):
    if isinstance(document, dict):
        document = list(document.values())
    return 1 + max(map(depth, document), default=0) if isinstance(document, list) else 0


def accepted(text, max_depth):
    try:
        decode_json(text.encode(), ANYTHING, max_depth=max_depth)
    except InvalidRequest as error:
        assert error.message == f"JSON: nested deeper than {max_depth} levels"
        return False
    return True


@given(documents, st.integers(0, 4), st.booleans(), st.booleans())
@example('\\/"]]]]', 0, True, True)
@example([["]]\\"], [[[]]]], 3, True, True)
def test_a_document_is_refused_exactly_where_it_is_nested_deeper_than_allowed(document, most, ascii_only, escaped):
    text = json.dumps(document, ensure_ascii=ascii_only)
    if escaped:  # an escape that the encoder never writes
        text = text.replace("/", "\\/")
    assert accepted(text, most) == (depth(document) <= most)


@pytest.mark.parametrize("levels", [100, 101])
def test_the_limit_counts_levels_and_not_brackets(levels):
    wide = json.dumps([[0]] * 1000)
    deep = "[" * levels + "]" * levels
    assert accepted(wide, 2)
    assert accepted(deep, 100) == (levels == 100)
    assert accepted(f'{{"data": {wide}, "x": {deep}}}', 101) == (levels == 100)
