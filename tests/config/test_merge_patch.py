"""JSON Merge Patch: the examples of its RFC, and null in settings."""

import pytest

from gateway.config.file import ConfigError, read_config
from gateway.config.merge_patch import merge_patch
from gateway.config.settings import GatewayConfig

OIP = {"kind": "oip", "url": "http://127.0.0.1:9000"}


@pytest.mark.parametrize(
    ("target", "patch", "merged"),
    [  # RFC 7396, appendix A
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"a": "foo"}, None, None),
        ({"a": "foo"}, "bar", "bar"),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_the_examples_of_the_rfc(target, patch, merged):
    assert merge_patch(target, patch) == merged


def patched(patch, **settings):
    before = GatewayConfig.model_validate({"backends": {"o": OIP}, **settings})
    after = read_config(merge_patch(before, patch))
    assert before == GatewayConfig.model_validate({"backends": {"o": OIP}, **settings})
    return after


def test_null_is_what_it_is_in_a_file_and_the_default_where_it_is_nothing_there():
    after = patched(
        {"backends": {"o": {"batching": None}}, "cache": None, "retries": {"attempts": None}, "default_timeout": None},
        cache={},
        retries={"attempts": 7, "budget": 0.5},
        default_timeout=1,
    )
    assert after.backends["o"].batching is None
    assert after.cache is None
    assert (after.retries.attempts, after.retries.budget) == (3, 0.5)
    assert after.default_timeout == 60


def test_an_entry_of_a_map_comes_and_goes():
    after = patched({"labels": {"m": {"a": None, "b": "2"}, "n": {"c": "3"}}}, labels={"m": {"a": "1", "z": "9"}})
    assert after.labels == {"m": {"b": "2", "z": "9"}, "n": {"c": "3"}}


def test_a_section_that_was_off_gets_its_defaults():
    assert patched({"hedging": {"budget": 0.2}}).hedging.percentile == 0.95
    assert patched({"cache": {"ttl": None}}).cache.ttl is None


@pytest.mark.parametrize(
    ("patch", "message"),
    [
        ({"retries": {"attempts": 0}}, "^retries.attempts: .* (got 0)$"),
        ({"retries": {"tries": 2}}, "^retries.tries: unknown key"),
        ({"retries": 3}, "^retries: "),
        ({"nope": {}}, "^nope: unknown key"),
        ({"backends": {"o": {"batching": {"lanes": {"min": 9, "max": 2}}}}}, "^backends.o.batching.lanes: min 9 is"),
        ({"backends": {"p": {}}}, "^backends.p: "),
        ({"backends": None}, "^backends: "),
    ],
)
def test_what_makes_no_sense_is_named_by_its_key_alone(patch, message):
    with pytest.raises(ConfigError, match=message.replace("(", r"\(").replace(")", r"\)")):
        patched(patch)
