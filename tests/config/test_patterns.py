"""Which regular expressions are taken from a configuration."""

import time

import pytest
from pydantic import TypeAdapter, ValidationError

from gateway.config.patterns import Pattern
from gateway.core.routing import LONGEST_MATCHED, matches

TAKEN = TypeAdapter(Pattern)


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        "gold|silver",
        "(?i)beta-.*",
        r"v\d+\.\d+",
        r"(\d{3}-){2}\d+",
        "(?!internal).*",
        "[a-f0-9]{8,40}",
        "a?b?",
        "x(y|z)w",
        "^a$",
    ],
)
def test_taken(pattern):
    assert TAKEN.validate_python(pattern) == pattern


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("(", "not a regular expression: missing )"),
        ("*", "not a regular expression: nothing to repeat"),
        ("(a+)+", "a repeat in a repeat"),
        ("((a+)b){9}", "a repeat in a repeat"),
        ("(a?){30}", "a repeat in a repeat"),
        ("(?=(a+)*)", "a repeat in a repeat"),
        ("(ab|cd)*", "a choice in a repeat"),
        ("a*a*a*a*", "at most 3 repeats"),
        ("a?" * 30, "at most 3 repeats"),
        (r"(a)\1", "groupref is not supported"),
        ("a" * 257, "at most 256 characters"),
        ("a{99999999999999999999}", "not a regular expression"),
    ],
)
def test_refused(pattern, reason):
    with pytest.raises(ValidationError) as caught:
        TAKEN.validate_python(pattern)
    assert reason in str(caught.value)


def test_the_worst_that_is_taken_takes_no_time():
    pattern = TAKEN.validate_python(".*.*.*x")
    started = time.process_time()
    assert not matches(pattern)("a" * LONGEST_MATCHED)
    assert time.process_time() - started < 1
