"""Heads of answers, read by the standard library's parser."""

import email.utils
import http.client
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http1.reply import Reply, encode_head

NAME = st.text("abc-xyz", min_size=1, max_size=10).filter(lambda name: name not in ("connection", "content-length"))
VALUE = st.text("abc;=, 0/", max_size=20).map(str.strip)


class Socket:
    def __init__(self, data):
        self.data = data

    def makefile(self, _):
        return io.BytesIO(self.data)


@given(st.sampled_from([200, 400, 418, 499, 503]), st.lists(st.tuples(NAME, VALUE)), st.binary(), st.booleans())
def test_the_head_says_what_the_answer_has(status, headers, body, close):
    reply = Reply(body, [(name.encode(), value.encode()) for name, value in headers], status)
    answer = http.client.HTTPResponse(Socket(encode_head(reply, close=close) + body))
    answer.begin()
    assert (answer.status, answer.read()) == (status, body)
    assert answer.will_close is close
    assert email.utils.parsedate_to_datetime(answer.getheader("date")).tzinfo is not None
    assert [pair for pair in answer.getheaders() if pair[0] not in ("date", "content-length", "connection")] == headers


@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize("evil", [b"a\r\nx: b", b"a\nb", b"a\rb", b"a\0b"])
def test_no_header_can_be_two(evil, place):
    pair = [b"name", b"value"]
    pair[place] = evil
    with pytest.raises(ValueError, match="one of the headers"):
        encode_head(Reply(b"", [tuple(pair)]), close=False)
