"""How the tellings of several backends become versions of one model."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.backend import ModelDescription
from gateway.core.datatypes import Datatype
from gateway.core.signatures import Signature, TensorSpec
from gateway.repository.merging import merge


def signature(name):
    return Signature((TensorSpec(name, Datatype.FP32, (-1,)),), ())


def told(*versions, takes="x", limit=0):
    """A description whose latest version is the last of ``versions``."""
    *older, latest = [ModelDescription(version, "p", signature(takes), max_batch_size=limit) for version in versions]
    return replace(latest, older=tuple(older))


def holders(merged):
    return {each.version: dict(each.holders) for each in merged}


@pytest.mark.parametrize(
    ("tellings", "expected"),
    [
        ({"a": told("3")}, {"3": {"a": "3"}}),
        ({"a": told("1", "2", "10")}, {"1": {"a": "1"}, "2": {"a": "2"}, "10": {"a": "10"}}),
        ({"a": told("")}, {"1": {"a": ""}}),
        ({"a": told("2", "3"), "b": told("3")}, {"2": {"a": "2"}, "3": {"a": "3", "b": "3"}}),
        ({"a": told(""), "b": told("2", "3")}, {"2": {"b": "2"}, "3": {"a": "", "b": "3"}}),  # none is the latest
        ({"a": told("v0.1", "v0.2")}, {"1": {"a": "v0.1"}, "2": {"a": "v0.2"}}),
        ({"a": told("01")}, {"1": {"a": "01"}}),  # int("01") would be asked for as "1"
        ({"a": told(str(2**63))}, {"1": {"a": str(2**63)}}),
        ({}, {}),
    ],
)
def test_versions_are_numbers_of_the_gateway_and_names_of_the_backends(tellings, expected):
    assert holders(merge(tellings, {})) == expected


def test_the_first_backend_has_the_model_when_they_disagree():
    (merged,) = merge({"a": told("1"), "b": told("1", takes="z"), "c": told("1")}, {})
    assert dict(merged.holders) == {"a": "1", "c": "1"}
    assert merged.description.signature == signature("x")
    assert dict(merged.disputes) == {"b": "its inputs and outputs differ from those on 'a'"}


def test_who_serves_it_already_keeps_it():
    tellings = {"a": told("1", takes="z"), "b": told("1")}
    (merged,) = merge(tellings, {"1": signature("x")})
    assert (dict(merged.holders), list(merged.disputes)) == ({"b": "1"}, ["a"])
    (merged,) = merge({"a": told("1", takes="z")}, {"1": signature("x")})  # nobody holds what was served
    assert (dict(merged.holders), merged.disputes) == ({"a": "1"}, {})


def test_the_smallest_limit_on_batches_holds_for_all():
    (merged,) = merge({"a": told("1", limit=0), "b": told("1", limit=8), "c": told("1", limit=4)}, {})
    assert merged.description.max_batch_size == 4


VERSIONS = st.lists(st.sampled_from(["1", "2", "3", "10"]), min_size=1, unique=True).map(
    lambda all_: sorted(all_, key=int)
)
TELLINGS = st.dictionaries(
    st.sampled_from("abcd"),
    st.builds(lambda versions, takes: told(*versions, takes=takes), VERSIONS, st.sampled_from("xz")),
)


@given(TELLINGS)
def test_every_telling_is_held_or_disputed_and_merging_again_changes_nothing(tellings):
    merged = merge(tellings, {})
    for backend, description in tellings.items():
        versions = {description.version, *(each.version for each in description.older)}
        found = {each.version for each in merged if backend in each.holders or backend in each.disputes}
        assert found == versions
    assert [each.version for each in merged] == sorted({each.version for each in merged}, key=int)
    served = {each.version: each.description.signature for each in merged}
    assert merge(tellings, served) == merged
