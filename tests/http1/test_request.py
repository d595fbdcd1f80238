"""The body of a request, fed to it piece by piece."""

import asyncio

import pytest
from support.looped import looped

from gateway.core.errors import PayloadTooLarge, RequestTimeout, Unsupported
from gateway.core.limits import Limits
from gateway.http1.client import Client, ClientDisconnected
from gateway.http1.request import Request

LIMITS = Limits(body_bytes=10, body_chunks=4)


class Upload:
    """A connection on which the body of one request is on its way."""

    def __init__(self, *arrived, **headers):
        self.client = Client("10.0.0.1")
        self.went_on, self.expected = 0, []
        named = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
        self.request = Request(self, b"POST", b"/v2/models/m?a=b", named, keep_alive=True)
        for piece in arrived:
            self.request.feed(piece)

    def go_on(self, request):
        assert request is self.request
        self.went_on += 1

    def expect(self, arrival):
        self.expected.append(arrival)

    async def begin(self, limits=LIMITS):
        task = asyncio.create_task(self.request.body(limits))
        await asyncio.sleep(0)
        return task


@looped
async def test_what_was_there_and_what_comes_are_one_body():
    upload = Upload(b"ab", b"cd")
    task = await upload.begin()
    assert upload.went_on == 1
    upload.request.feed(b"ef")
    await asyncio.sleep(0)
    assert not task.done()
    upload.request.feed(b"ghij")
    upload.request.end()
    assert await task == b"abcdefghij"


@looped
async def test_a_body_that_is_complete_needs_no_waiting():
    upload = Upload(b"ab", b"cd", content_length="4")
    upload.request.end()
    assert await upload.request.body(LIMITS) == b"abcd"
    assert (upload.went_on, upload.expected) == (0, [])


@looped
async def test_one_byte_too_many_is_refused_at_once():
    upload = Upload(b"ab", b"cdefgh")
    task = await upload.begin()
    upload.request.feed(b"ij")
    await asyncio.sleep(0)
    assert not task.done()
    upload.request.feed(b"k")
    with pytest.raises(PayloadTooLarge, match="over the limit of 10 bytes"):
        await task


@pytest.mark.parametrize("complete", [False, True])
@looped
async def test_too_much_that_came_before_anybody_asked_is_refused(complete):
    upload = Upload(b"abcdef", b"ghijkl")
    if complete:
        upload.request.end()
    with pytest.raises(PayloadTooLarge, match="over the limit of 10"):
        await upload.request.body(LIMITS)


@looped
async def test_a_length_that_is_too_much_is_refused_unread():
    upload = Upload(content_length="11")
    with pytest.raises(PayloadTooLarge, match="11 bytes are over the limit of 10"):
        await upload.request.body(LIMITS)
    assert upload.went_on == 0


@looped
async def test_many_tiny_pieces_are_refused():
    upload = Upload()
    task = await upload.begin()
    for _ in range(5):
        upload.request.feed(b"a")
    with pytest.raises(PayloadTooLarge, match="over the limit of 4 chunks"):
        await task


@looped
async def test_a_coding_that_nobody_knows_is_refused():
    with pytest.raises(Unsupported, match="nothing but 'chunked'"):
        await Upload(transfer_encoding="gzip, chunked").request.body(LIMITS)


@looped
async def test_a_body_that_takes_too_long_is_given_up():
    with pytest.raises(RequestTimeout, match=r"not complete within 0\.01 s"):
        await Upload(b"a").request.body(Limits(body_seconds=0.01))


@pytest.mark.parametrize("length", [{}, {"content_length": "100000"}], ids=["unknown", "known"])
@looped
async def test_a_client_that_leaves_in_the_middle_is_noticed(length):
    upload = Upload(b"ab", **length)
    task = await upload.begin(Limits())
    upload.client.leave()
    upload.request.wake()
    with pytest.raises(ClientDisconnected):
        await task


@looped
async def test_a_client_that_left_before_is_noticed():
    upload = Upload(b"ab")
    upload.client.leave()
    with pytest.raises(ClientDisconnected):
        await upload.request.body(LIMITS)
    assert upload.went_on == 0


@looped
async def test_what_is_left_of_a_known_length_goes_where_it_stays():
    upload = Upload(b"ab", b"cd", content_length="100004")
    task = await upload.begin(Limits())
    (arrival,) = upload.expected
    assert (arrival.missing, upload.went_on) == (100_000, 1)
    arrival.room[:] = bytes(100_000)
    arrival.arrived(100_000)
    upload.request.end()
    assert await task == b"abcd" + bytes(100_000)


@looped
async def test_a_little_that_is_left_goes_through_the_parser():
    upload = Upload(b"ab", content_length="4")
    task = await upload.begin()
    upload.request.feed(b"cd")
    upload.request.end()
    assert await task == b"abcd"
    assert upload.expected == []


def test_enough_has_come_where_nobody_waits():
    assert not Upload(bytes(30_000)).request.has_enough
    assert Upload(bytes(30_000), bytes(3_000)).request.has_enough


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        (b"/v2/models/a%2Fb?c=d?e", "/v2/models/a%2Fb", b"c=d?e"),
        (b"/", "/", b""),
        (b"//x?", "//x", b""),
        (b"/x#part?no", "/x", b""),
        (b"http://host:1/v2?a=b", "/v2", b"a=b"),
    ],
)
def test_a_target_is_a_path_and_a_query(target, path, query):
    request = Request(Upload(), b"GET", target, {}, keep_alive=True)
    assert (request.path, request.query) == (path, query)


@pytest.mark.parametrize("target", [b"/\xff", b"x:80", b"http://\xff/", b"http://host"])
def test_what_is_no_address_is_refused(target):
    with pytest.raises(ValueError, match=r"address|ascii"):
        Request(Upload(), b"GET", target, {}, keep_alive=True)
