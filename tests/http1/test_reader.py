"""What is read of a connection is the same however its bytes are cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http1.reader import MAX_HEAD, BadRequest, RequestReader


class Reading:
    """What a reader has found: each request as verb, target, headers, whether the connection goes on, and body."""

    def __init__(self, max_chunks=1000):
        self.found, self.ended = [], 0
        self.reader = RequestReader(self.head, self.piece, self.end, max_chunks)

    def head(self, *head):
        self.found.append([*head, b""])

    def piece(self, piece):
        self.found[-1][-1] += piece

    def end(self):
        self.ended += 1
        assert self.ended == len(self.found)


def read(*pieces, **options):
    reading = Reading(**options)
    for piece in pieces:
        reading.reader.feed(memoryview(piece))
    return reading


TOKEN = st.text("abcXYZ-09", min_size=1, max_size=8).filter(lambda name: name.lower() not in TAKEN).map(str.encode)
TAKEN = ("connection", "upgrade", "host")
VALUE = st.text("abc ,=09/", max_size=20).map(lambda text: text.strip().encode())
PATH = st.text("abc/%09?=&", max_size=20).map(lambda text: b"/" + text.encode())
ENDS = st.sampled_from([(b"", True), (b"Connection: close\r\n", False), (b"connection: keep-alive\r\n", True)])
BODY = st.binary(max_size=300)


@st.composite
def requests(draw):
    """A request as bytes, and what is to be found of it."""
    verb, target = draw(st.sampled_from([b"POST", b"PUT", b"GET"])), draw(PATH)
    lines = draw(st.lists(st.tuples(TOKEN, VALUE), max_size=5))
    end, goes_on = draw(ENDS)
    body, chunked = draw(BODY), draw(st.booleans())
    found = {}
    for name, value in [(name.lower(), value) for name, value in lines]:
        found[name] = found[name] + b", " + value if name in found else value
    head = b"%b %b HTTP/1.1\r\n" % (verb, target) + b"".join(b"%b: %b\r\n" % line for line in lines) + end
    if end:
        name, value = end.strip().split(b": ")
        found[name.lower()] = value
    if chunked:
        found[b"transfer-encoding"] = b"chunked"
        size = draw(st.integers(1, 100))
        parts = [body[at : at + size] for at in range(0, len(body), size)]
        trailer = draw(st.sampled_from([b"", b"x-trailer: 1\r\n"]))
        rest = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n" + trailer + b"\r\n"
        return head + b"Transfer-Encoding: chunked\r\n\r\n" + rest, [verb, target, found, goes_on, body]
    found[b"content-length"] = b"%d" % len(body)
    return head + b"Content-Length: %d\r\n\r\n" % len(body) + body, [verb, target, found, goes_on, body]


@given(st.lists(requests(), min_size=1, max_size=4), st.data())
def test_requests_are_read_however_they_are_cut(several, data):
    stream = b"".join(raw for raw, _ in several)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    pieces = [stream[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    reading = read(*pieces)
    expected = [each for _, each in several]
    closing = next((at + 1 for at, (*_, goes_on, _) in enumerate(expected) if not goes_on), len(expected))
    assert reading.found == expected[:closing]  # what follows a last request is nobody's
    assert reading.ended == closing
    assert reading.reader.in_head
    assert closing < len(expected) or not reading.reader.within_head


@given(st.integers(0, 80))
def test_a_part_of_a_head_is_known_for_one(count):
    raw = b"POST /x HTTP/1.1\r\nContent-Length: 2\r\nHost: somewhere else\r\n\r\n"
    reading = read(raw[:count])
    begun = 0 < count < len(raw)
    assert (reading.reader.within_head, reading.reader.in_head) == (begun, count < len(raw))
    after = read(b"GET / HTTP/1.1\r\n\r\n" + raw[:count])
    assert (after.reader.within_head, after.ended) == (begun, 1)


@pytest.mark.parametrize(
    ("line", "goes_on"),
    [
        (b"HTTP/1.1\r\n", True),
        (b"HTTP/1.1\r\nConnection: Close\r\n", False),
        (b"HTTP/1.0\r\n", False),
        (b"HTTP/1.0\r\nConnection: keep-alive\r\n", False),
    ],
)
def test_whether_a_connection_goes_on(line, goes_on):
    reading = read(b"GET /x " + line + b"\r\n")
    assert reading.found[0][3] is goes_on
    assert reading.reader.is_old is (b"HTTP/1.0" in line)


@given(st.integers(0, 200))
def test_the_wish_for_another_protocol_is_ignored(cut):
    raw = (
        b"POST /x HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
        b"HTTP2-Settings: AAMA\r\nContent-Length: 4\r\n\r\nbodyGET /y HTTP/1.1\r\n\r\n"
    )
    reading = read(raw[:cut], raw[cut:])
    assert [(verb, target, body) for verb, target, _, _, body in reading.found] == [
        (b"POST", b"/x", b"body"),
        (b"GET", b"/y", b""),
    ]
    assert b"upgrade" not in reading.found[0][2]
    assert reading.ended == 2


def test_a_rest_that_came_by_another_way_is_not_waited_for():
    reading = read(b"POST /x HTTP/1.1\r\nContent-Length: 100\r\n\r\nbegin")
    reading.reader.skip_body()
    reading.reader.feed(b"GET /y HTTP/1.1\r\n\r\n")
    assert [target for _, target, *_ in reading.found] == [b"/x", b"/y"]
    assert reading.ended == 2


def test_the_version_is_that_of_the_request_whose_rest_came_by_another_way():
    reading = read(b"POST /x HTTP/1.0\r\nContent-Length: 100\r\n\r\nbegin")
    reading.reader.skip_body()
    assert reading.reader.is_old


def head_of(size, name=b"x"):
    start, end = b"GET / HTTP/1.1\r\n" + name + b": ", b"\r\n\r\n"
    return start + b"a" * (size - len(start) - len(end)) + end


# Spread over reads of 64 KiB at most, as connections have them, the second of which ends another request.
def spread(*parts):
    stream = b"".join(parts)
    return [stream[at : at + MAX_HEAD] for at in range(0, len(stream), MAX_HEAD)]


OTHER = b"POST / HTTP/1.1\r\nContent-Length: 60000\r\n\r\n" + bytes(60_000)


@pytest.mark.parametrize("before", [b"", OTHER, OTHER * 3], ids=["first", "second", "fourth"])
@pytest.mark.parametrize("name", [b"x", b"X-" + b"a" * 1000])
def test_a_head_may_have_so_many_bytes_and_no_more(before, name):
    fits = read(*spread(before, head_of(MAX_HEAD - 100, name)))
    assert fits.found[-1][0] == b"GET"
    with pytest.raises(BadRequest) as refused:
        read(*spread(before, head_of(MAX_HEAD + 100, name), b"GET / HTTP/1.1\r\n\r\n"))
    assert refused.value.status == 431


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\n" + b"x: a\r\n" * 20_000 + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\nx: " + b"a" * 1_000_000, 431),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nx: " + b"a" * 1_000_000, 431),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + b"x: a\r\n" * 20_000 + b"\r\n", 431),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5;" + b"x=1;" * 100_000, 431),
        (b"\r\n" * 100_000, 431),
        (b"no http\r\n\r\n", 400),
    ],
)
def test_what_does_not_end_is_refused(raw, status):
    with pytest.raises(BadRequest) as refused:
        read(*spread(raw))
    assert refused.value.status == status


def test_chunks_are_counted():
    def chunked(count):
        return b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\na\r\n" * count + b"0\r\n\r\n"

    assert read(chunked(9), chunked(9), max_chunks=10).ended == 2
    with pytest.raises(BadRequest) as refused:
        read(chunked(10), max_chunks=10)
    assert (refused.value.status, refused.value.text) == (413, "The request's body has over 10 chunks.")
