from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.load_servers import echo_payload

from loadtest.errors import BadSpec
from loadtest.payloads.mix import ModelShare, mixed, parse_mix

names = st.text(st.characters(codec="utf-8", exclude_characters=":/,=", exclude_categories=["Z", "C"]), min_size=1)
shares = st.builds(
    ModelShare,
    name=names,
    version=st.one_of(st.just(""), names),
    weight=st.integers(1, 10**6).map(lambda number: number / 1000),
)


@given(st.lists(shares, min_size=1, max_size=4, unique_by=lambda share: share.name))
def test_what_is_written_is_read(given_shares: list[ModelShare]) -> None:
    written = ",".join(
        share.name + (f"/{share.version}" if share.version else "") + f":{share.weight:.3f}" for share in given_shares
    )
    assert parse_mix(written) == given_shares


def test_weight_is_one_where_none_is_given() -> None:
    assert parse_mix("a/2, b:3") == [ModelShare("a", "2", 1.0), ModelShare("b", "", 3.0)]


@given(st.text())
def test_any_other_text_is_refused(text: str) -> None:
    try:
        assert all(share.weight > 0 and share.name for share in parse_mix(text))
    except BadSpec as error:
        assert repr(text) in str(error)


@pytest.mark.parametrize("text", ["", "a,", ",a", "a:0", "a:-1", "a:x", "a:nan", "a:1e9", "a/", "/1", "a b", "a:1:2"])
def test_bad_mix_is_quoted(text: str) -> None:
    with pytest.raises(BadSpec, match=r"model .* cannot be read at"):
        parse_mix(text)


def test_model_named_twice() -> None:
    with pytest.raises(BadSpec, match="names a model twice"):
        parse_mix("a:1,a/2:3")


def test_a_models_weight_is_shared_by_its_payloads() -> None:
    one, other = echo_payload(np.zeros(1, np.float32), "one"), echo_payload(np.zeros((1, 1)), "other")
    workload = mixed([(3, [one, one, one]), (1, [other])])
    assert [payload.weight for payload in workload.payloads] == [0.25] * 4
    workload = mixed([(1, [one, one]), (1, [other])])
    assert [payload.weight for payload in workload.payloads] == [0.25, 0.25, 0.5]
    drawn = np.bincount(workload.order(5)) / len(workload.order(5))
    assert drawn == pytest.approx([0.25, 0.25, 0.5], abs=0.01)
