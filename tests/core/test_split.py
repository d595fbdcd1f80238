"""Shares by weight: how large they are, and who keeps what when they change."""

import math
import os
import subprocess
import sys
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.split import Split

KEYS = [f"client-{number}" for number in range(4000)]
WEIGHTS = st.dictionaries(st.sampled_from("abcdef"), st.floats(0.01, 1000), min_size=2)


def drawn(weights, keys=KEYS, names=None, scope="m"):
    split = Split(scope, weights)
    return {key: split.choose(names or list(weights), key) for key in keys}


def within_binomial_bounds(count, share, total):
    return abs(count - share * total) <= 4.5 * math.sqrt(total * share * (1 - share)) + 1


@pytest.mark.parametrize(
    "weights", [{"a": 95, "b": 5}, {"a": 1, "b": 1}, {"a": 1, "b": 2, "c": 0.5}, {"a": 99.9, "b": 0.1}]
)
def test_the_shares_of_keys_are_those_of_the_weights(weights):
    counts = Counter(drawn(weights).values())
    for name, weight in weights.items():
        assert within_binomial_bounds(counts[name], weight / sum(weights.values()), len(KEYS))


@given(weights=WEIGHTS, factor=st.floats(1.01, 100), data=st.data())
def test_a_name_that_is_raised_keeps_its_keys_and_the_others_swap_none(weights, factor, data):
    raised = data.draw(st.sampled_from(sorted(weights)))
    keys = KEYS[:150]
    before = drawn(weights, keys)
    after = drawn({**weights, raised: weights[raised] * factor}, keys)
    assert all(after[key] in (before[key], raised) for key in keys)


@given(weights=WEIGHTS, data=st.data())
def test_one_that_is_left_out_gives_its_keys_away_and_the_others_keep_theirs(weights, data):
    gone = data.draw(st.sampled_from(sorted(weights)))
    keys = KEYS[:150]
    before, after = drawn(weights, keys), drawn(weights, keys, [name for name in weights if name != gone])
    assert all(after[key] == before[key] for key in keys if before[key] != gone)


def test_raising_a_canary_from_5_to_10_keeps_the_first_5_in_it():
    five, ten = drawn({"stable": 95, "canary": 5}), drawn({"stable": 90, "canary": 10})
    first = {key for key, name in five.items() if name == "canary"}
    assert first
    assert first < {key for key, name in ten.items() if name == "canary"}


def test_the_same_key_gets_the_same_in_every_process():
    code = (
        "from gateway.core.split import Split; split = Split('m', {'a': 1, 'b': 1}); "
        "print(''.join(split.choose(['a', 'b'], f'client-{n}') for n in range(60)))"
    )
    told = {
        subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, check=True
        )
        .stdout.decode()
        .strip()
        for seed in ("1", "2")
    }
    assert told == {"".join(drawn({"a": 1, "b": 1}, KEYS[:60]).values())}


def test_models_draw_apart():
    first, second = drawn({"a": 1, "b": 1}), drawn({"a": 1, "b": 1}, scope="other")
    same = sum(first[key] == second[key] for key in KEYS)
    assert within_binomial_bounds(same, 0.5, len(KEYS))


@given(weights=WEIGHTS, start=st.floats(0, 1, exclude_max=True))
def test_without_a_key_the_shares_hold_for_a_few_requests_too(weights, start):
    split = Split("m", weights, random=lambda: start)
    counts = Counter(split.choose(list(weights), "") for _ in range(300))
    for name, weight in weights.items():
        assert counts[name] == pytest.approx(300 * weight / sum(weights.values()), abs=6)


def test_who_has_no_weight_gets_nothing_unless_nobody_has_one():
    split = Split("m", {"a": 0, "b": 1})
    for key in ("", "client"):
        assert split.choose(["a", "b", "c"], key) == "b"
        assert split.choose(["c", "a"], key) == "c"


@pytest.mark.parametrize("key", ["\x00", "ü", "x" * 10_000])
def test_any_text_is_a_key(key):
    split = Split("m", {"a": 1, "b": 1})
    assert split.choose(["a", "b"], key) == split.choose(["a", "b"], key)
