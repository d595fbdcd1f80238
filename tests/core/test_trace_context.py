"""The examples and the limits of W3C Trace Context, level 2."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.trace_context import new_traceparent, read_traceparent, read_tracestate

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
IDS = f"{TRACE}-{PARENT}"


@pytest.mark.parametrize(
    ("text", "read"),
    [
        (f"00-{IDS}-01", f"00-{IDS}-01"),
        (f"00-{IDS}-00", f"00-{IDS}-00"),
        (f"00-{IDS}-03", f"00-{IDS}-03"),  # the trace id is random
        (f"00-{IDS}-ff", f"00-{IDS}-03"),  # reserved flags are passed on as zero
        (f" \t00-{IDS}-01\t ", f"00-{IDS}-01"),
        (f"01-{IDS}-01", f"00-{IDS}-01"),  # a later version is answered in this one
        (f"cc-{IDS}-00", f"00-{IDS}-00"),
        (f"cc-{IDS}-ff", f"00-{IDS}-01"),  # of a later version only the sampled flag is known
        (f"01-{IDS}-01-what-the-future-brings", f"00-{IDS}-01"),
        (f"01-{IDS}-01-", f"00-{IDS}-01"),
    ],
)
def test_what_is_valid_is_read_as_version_00(text, read):
    assert read_traceparent(text) == read


@pytest.mark.parametrize(
    "text",
    [
        "",
        "garbage",
        f"ff-{IDS}-01",
        f"FF-{IDS}-01",
        f"0-{IDS}-01",
        f"000-{IDS}-01",
        f"0x-{IDS}-01",
        f"00-{IDS}-01-what-the-future-brings",  # version 00 has four fields
        f"00-{IDS}-01-",
        f"00-{IDS}-01.",
        f"01-{IDS}-01.what-the-future-brings",
        f"01-{IDS}-011",
        f"00-{IDS}-1",
        f"00-{IDS}-0x",
        f"00-{IDS}",
        f"00-{TRACE.upper()}-{PARENT}-01",
        f"00-{TRACE}-{PARENT.upper()}-01",
        f"00-{TRACE[:-1]}-{PARENT}-01",
        f"00-{TRACE}0-{PARENT}-01",
        f"00-{TRACE}-{PARENT[:-1]}-01",
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00_{TRACE}_{PARENT}_01",
        f"00-{IDS}-01,00-{IDS}-01",  # two headers, and nobody knows which is meant
        f"00-{IDS}-01\n",
        f"00-{TRACE[:-1]}\N{FULLWIDTH DIGIT ONE}-{PARENT}-01",
    ],
)
def test_what_is_invalid_counts_as_not_sent(text):
    assert read_traceparent(text) == ""


def test_a_new_trace_is_valid_random_and_not_sampled():
    made = {new_traceparent() for _ in range(100)}
    assert len({text[3:35] for text in made}) == len({text[36:52] for text in made}) == 100
    assert all(read_traceparent(text) == text and text.endswith("-02") for text in made)


KEY = "0abc_-*/@z"
LONG_KEY = "k" * 256


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("", ""),
        ("foo=1", "foo=1"),
        ("foo=1,bar=2", "foo=1,bar=2"),
        ("foo=1 \t , \tbar=2, baz=3", "foo=1,bar=2,baz=3"),
        ("foo=1,,bar=2,", "foo=1,bar=2"),  # empty members are allowed
        (f"{KEY}=1", f"{KEY}=1"),
        ("fw529a3039@dt=FfD9c.:-", "fw529a3039@dt=FfD9c.:-"),
        ("foo= a b", "foo= a b"),  # blanks are part of a value, but at its end
        (f"{LONG_KEY}=1", f"{LONG_KEY}=1"),
        (f"foo={'v' * 256}", f"foo={'v' * 256}"),
        (",".join(f"k{number}=1" for number in range(32)), ",".join(f"k{number}=1" for number in range(32))),
    ],
)
def test_a_valid_list_is_kept(text, read):
    assert read_tracestate(text) == read


@pytest.mark.parametrize(
    "text",
    [
        "foo",
        "foo=",
        "=1",
        "foo =1",
        "Foo=1",
        "_foo=1",
        "foo=1=2",
        "foo=1,bar",
        "foo=\u00e4",
        "foo=\x001",
        f"{LONG_KEY}k=1",
        f"foo={'v' * 257}",
        ",".join(f"k{number}=1" for number in range(33)),
    ],
)
def test_an_invalid_list_is_dropped_whole(text):
    assert read_tracestate(text) == ""


def test_a_list_that_is_too_long_loses_its_long_members_and_then_its_last():
    first, last = "first=" + "1" * 200, "last=" + "2" * 200
    short = [f"k{number}=" + "s" * 90 for number in range(6)]
    assert read_tracestate(",".join([first, short[0], last])) == ",".join([first, short[0], last])
    assert read_tracestate(",".join([first, short[0], last, short[1], short[2]])) == ",".join(
        [first, short[0], short[1], short[2]]
    )
    assert read_tracestate(",".join([first, *short])) == ",".join(short[:5])


@given(st.text(alphabet=st.characters(codec="latin-1"), max_size=200))
def test_nothing_that_comes_in_a_header_is_an_error(text):
    assert read_traceparent(text) == ""
    assert len(read_tracestate(text)) <= len(text)
