"""Forms: what is written is read back, what others write is read, what is broken is refused."""

import asyncio
import contextlib
import io
import urllib.parse

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.codecs.torchserve_parts import Part, join_multipart, split_body
from gateway.core.errors import InvalidRequest, PayloadTooLarge

_CHARACTERS = st.characters(codec="utf-8", exclude_categories=["Cc"], exclude_characters='"\\')
names = st.text(_CHARACTERS, min_size=1, max_size=20)
# Pieces of what a parser looks for, so that data resembles boundaries and headers.
datas = st.lists(st.sampled_from([b"\r\n", b"--", b"\r\n--", b"b", b"\0", b"\xff", b"Content-Type: x\r\n\r\n"])).map(
    b"".join
)
HEAD = b'--b\r\nContent-Disposition: form-data; name="a"\r\n'
FORM = "multipart/form-data; boundary=b"


def plain(parts):
    return [(part.name, bytes(part.data), part.content_type) for part in parts]


@given(st.lists(st.tuples(names, datas), min_size=1, max_size=5))
def test_a_form_comes_back(entries):
    parts = [Part(name, data, "image/png") for name, data in entries]
    body, content_type = join_multipart(parts)
    assert plain(split_body(body, content_type, 5)) == plain(parts)


@given(st.lists(st.tuples(names, datas), min_size=1, max_size=5))
def test_what_another_client_writes_is_read(entries):
    async def written():
        writer = aiohttp.MultipartWriter("form-data")
        for name, data in entries:
            writer.append(io.BytesIO(data), {"Content-Type": "image/png"}).set_content_disposition(
                "form-data", quote_fields=False, name=name, filename="f"
            )
        return await writer.as_bytes(), writer.content_type

    body, content_type = asyncio.run(written())
    assert plain(split_body(body, content_type, 5)) == [(name, data, "image/png") for name, data in entries]


@given(st.lists(st.tuples(st.text(max_size=9), st.text(max_size=9)), max_size=5))
def test_a_urlencoded_form_is_read(entries):
    body = urllib.parse.urlencode(entries).encode()
    parts = split_body(body, "application/x-www-form-urlencoded; charset=utf-8", 5)
    assert plain(parts) == [(name, value.encode(), "") for name, value in entries]


def test_a_body_that_is_no_form_is_one_part():
    assert plain(split_body(b"x", "Image/PNG; q=1", 1)) == [("body", b"x", "image/png")]
    assert plain(split_body(b"", "", 1)) == [("body", b"", "")]


def test_what_curl_writes_is_read():
    body = (
        b'--b\r\nContent-Disposition: form-data; name="data"; filename="kitten.jpg"\r\nContent-Type: image/jpeg\r\n\r\n'
        b"\xff\xd8\r\n--b  \r\ncontent-disposition: form-data; name=text\r\n\r\n\r\n--b--\r\n"
    )
    assert plain(split_body(body, 'multipart/form-data; boundary="b"', 9)) == [
        ("data", b"\xff\xd8", "image/jpeg"),
        ("text", b"", ""),
    ]


@pytest.mark.parametrize(
    ("body", "content_type", "problem"),
    [
        (b"", "multipart/form-data", "needs a boundary"),
        (b"", FORM, "first multipart boundary is missing"),
        (b"--c--", FORM, "first multipart boundary is missing"),
        (b"--b", FORM, "does not begin with a line break"),
        (b"--bx\r\n", FORM, "does not begin with a line break"),
        (HEAD + b"\r\nx", FORM, "not closed"),
        (b"--b\r\nX: y\r\n--b--", FORM, "no empty line"),
        (b"--b\r\nX: y\r\n\r\n\r\n--b--", FORM, "with a name"),
        (b'--b\r\nContent-Disposition: form-data; name=""\r\n\r\n\r\n--b--', FORM, "with a name"),
        (b'--b\r\nContent-Disposition: form-data; name="\xff"\r\n\r\n\r\n--b--', FORM, "not UTF-8"),
        (HEAD + b"X: " + b"y" * 9000 + b"\r\n\r\nx\r\n--b--", FORM, "no empty line"),
        (b"a=%ff", "application/x-www-form-urlencoded", "UTF-8"),
        (b"\xff", "application/x-www-form-urlencoded", "UTF-8"),
    ],
)
def test_a_broken_form_is_refused(body, content_type, problem):
    with pytest.raises(InvalidRequest, match=problem):
        split_body(body, content_type, 9)


def test_parts_are_counted():
    body, content_type = join_multipart([Part("a", b"")] * 3)
    assert len(split_body(body, content_type, 3)) == 3
    with pytest.raises(PayloadTooLarge, match="limit of 2"):
        split_body(body, content_type, 2)
    with pytest.raises(PayloadTooLarge, match="limit of 2"):
        split_body(b"a=1&b=2&c=3", "application/x-www-form-urlencoded", 2)


@given(st.lists(st.sampled_from([b"--b", b"--", b"\r\n", HEAD, b"\r\n\r\n", b"x", b"name=", b";"])).map(b"".join))
def test_nothing_but_a_refusal_comes_of_noise(body):
    with contextlib.suppress(InvalidRequest):
        split_body(body, FORM, 9)
