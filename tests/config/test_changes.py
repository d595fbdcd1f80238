"""What differs between two configurations, and what of it needs no restart."""

import pytest

from gateway.config.changes import CHANGEABLE, copy_changed, differences, is_changeable
from gateway.config.settings import GatewayConfig

OIP = {"kind": "oip", "url": "http://127.0.0.1:9000"}


def config(**changes):
    return GatewayConfig.model_validate({"backends": {"o": OIP}, **changes})


def test_equal_configurations_do_not_differ():
    assert differences(config(hedging={}, cache={"ttl": 3}), config(cache={"ttl": 3.0}, hedging={})) == {}


@pytest.mark.parametrize(
    ("before", "after", "found"),
    [
        ({}, {"retries": {"attempts": 5}}, {("retries", "attempts"): (3, 5)}),
        ({"cache": {"bytes": 5}}, {}, {("cache",): ({"bytes": 5, "ttl": None, "models": None}, None)}),
        ({"labels": {"m": {"a": "1", "b": "2"}}}, {"labels": {"m": {"a": "1"}}}, {("labels", "m", "b"): ("2", None)}),
        ({}, {"labels": {"m": {"a": "1"}}}, {("labels", "m"): (None, {"a": "1"})}),
        (
            {},
            {"balancing": {"breaker": {"backoff": [2, 60]}}},
            {("balancing", "breaker", "backoff"): ([1.0, 60.0], [2.0, 60.0])},
        ),
        (
            {},
            {"backends": {"o": {**OIP, "batching": {"lanes": {"max": 2}}}}},
            {("backends", "o", "batching", "lanes", "max"): (64, 2)},
        ),
    ],
)
def test_every_key_that_differs_is_told_with_both_values(before, after, found):
    assert differences(config(**before), config(**after)) == found


@pytest.mark.parametrize(
    ("path", "changeable"),
    [
        ("backends.o.batching", True),
        ("backends.o.batching.lanes.max", True),
        ("backends.o.url", False),
        ("backends.o", False),
        ("backends", False),
        ("logs.access_sample", True),
        ("logs", False),
        ("labels.m.stable", True),
        ("default_timeout", True),
        ("balancing.breaker.failures", True),
        ("http.port", False),
        ("limits.streams", False),
    ],
)
def test_what_may_change_is_below_a_key_of_the_table(path, changeable):
    assert is_changeable(tuple(path.split("."))) == changeable


def test_every_key_of_the_table_is_a_setting():
    for entry in CHANGEABLE:
        section, *rest = entry.split(".")
        assert section in GatewayConfig.model_fields, entry
        if section == "backends":
            assert rest[1] in type(config().backends["o"]).model_fields
        elif rest:
            assert rest[0] in type(getattr(config(), section)).model_fields


@pytest.mark.parametrize(
    ("target", "becomes"),
    [
        ({"a": {"b": {"c": 1, "d": 1}}, "e": 1}, {"a": {"b": {"c": 2, "d": 1}}}),
        ({"a": {"b": {"c": 1, "d": 1}}}, {"a": {"b": {"c": 2, "d": 1}}}),
        ({"a": {"b": None, "f": 1}}, {"a": {"b": {"c": 2, "d": 2}, "f": 1}}),
        ({}, {"a": {"b": {"c": 2, "d": 2}, "f": 2}}),
    ],
)
def test_what_has_changed_is_copied_and_a_section_that_is_not_there_as_a_whole(target, becomes):
    source = {"a": {"b": {"c": 2, "d": 2}, "f": 2}}
    copy_changed([("a", "b", "c"), ("e",)], source, target)
    assert target == becomes
    assert source == {"a": {"b": {"c": 2, "d": 2}, "f": 2}}
