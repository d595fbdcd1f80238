"""Segments of system shared memory: what may be registered, and what may be reached."""

import os
import uuid
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.codecs.shared_memory import Window
from gateway.core.errors import Conflict, GatewayError, InvalidRequest, NotFound, PermissionDenied
from gateway.frontends import shared_memory
from gateway.frontends.authorization import Caller
from gateway.frontends.shared_memory import SharedMemoryRegions

FOLDER = Path("/dev/shm")
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="needs /dev/shm")


@pytest.fixture
def segment():
    """A segment of the bytes 0 to 99."""
    path = FOLDER / f"test-{uuid.uuid4()}"
    path.write_bytes(bytes(range(100)))
    yield path
    path.unlink(missing_ok=True)


@pytest.fixture
def regions():
    made = SharedMemoryRegions()
    yield made
    made.unregister("")


def open_descriptors():
    return len(list(Path("/proc/self/fd").iterdir()))


def test_a_window_is_read_and_written_within_its_region(regions, segment):
    regions.register("r", f"/{segment.name}", 10, 50)
    assert regions.read(Window("r", 4, 2), "x") == bytes([12, 13, 14, 15])
    regions.write(Window("r", 4, 46), b"abc", "y")
    assert segment.read_bytes()[55:60] == bytes([55]) + b"abc" + bytes([59])


def test_the_leading_slash_may_be_left_out(regions, segment):
    regions.register("r", segment.name, 0, 100)
    assert [(region.name, region.key, region.offset, region.byte_size) for region in regions.status("")] == [
        ("r", segment.name, 0, 100)
    ]


@pytest.mark.parametrize(
    "window", [Window("r", 51), Window("r", 1, 50), Window("r", 2, 49), Window("r", 2**63, 2**63), Window("r", 0, 51)]
)
def test_nothing_outside_the_region_is_reached(regions, segment, window):
    regions.register("r", segment.name, 10, 50)
    for reach in (lambda: regions.read(window, "x"), lambda: regions.write(window, b"a", "x")):
        with pytest.raises(InvalidRequest, match="are not within shared memory region 'r' of 50"):
            reach()


def test_what_does_not_fit_its_window_is_not_written(regions, segment):
    regions.register("r", segment.name, 0, 100)
    with pytest.raises(InvalidRequest, match="3 bytes do not fit into the 2"):
        regions.write(Window("r", 2), b"abc", "y")
    assert segment.read_bytes() == bytes(range(100))


@pytest.mark.parametrize(("offset", "size"), [(0, 101), (100, 1), (2**63, 2**63), (0, 0), (101, 0)])
def test_a_region_must_be_within_the_segment(regions, segment, offset, size):
    before = open_descriptors()
    with pytest.raises(InvalidRequest, match="are not within the segment of 100"):
        regions.register("r", segment.name, offset, size)
    assert open_descriptors() == before


@pytest.mark.parametrize(
    "key", ["", "/", "..", "/..", ".", "/a/b", "../etc/passwd", "a\0b", "//a", "a" * 256, "\udc80"]
)
def test_a_key_that_is_no_name_is_refused(regions, key):
    with pytest.raises(GatewayError, match="key: "):
        regions.register("r", key, 0, 1)
    assert regions.status("") == []


@given(st.text(max_size=20))
def test_no_key_raises_anything_but_our_errors(key):
    with pytest.raises(GatewayError):
        SharedMemoryRegions().register("r", f"no-such-segment/{key}", 0, 1)


def test_links_pipes_and_folders_are_no_segments(regions, tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    made = [FOLDER / f"test-{uuid.uuid4()}" for _ in range(3)]
    made[0].symlink_to(secret)
    os.mkfifo(made[1])
    made[2].mkdir()
    try:
        for path in made:
            with pytest.raises(NotFound, match="it is no segment"):
                regions.register("r", path.name, 0, 1)
    finally:
        made[0].unlink()
        made[1].unlink()
        made[2].rmdir()


def test_a_segment_that_is_not_there(regions):
    with pytest.raises(NotFound, match="cannot be opened"):
        regions.register("r", f"no-{uuid.uuid4()}", 0, 1)


def test_a_name_is_registered_once_and_needed(regions, segment):
    regions.register("r", segment.name, 0, 100)
    with pytest.raises(Conflict, match="'r' is registered already"):
        regions.register("r", segment.name, 0, 100)
    with pytest.raises(InvalidRequest, match="name"):
        regions.register("", segment.name, 0, 100)


def test_the_number_of_regions_is_bounded(regions, segment, monkeypatch):
    monkeypatch.setattr(shared_memory, "MAX_REGIONS", 1)
    regions.register("a", segment.name, 0, 100)
    with pytest.raises(Conflict, match="which is the limit"):
        regions.register("b", segment.name, 0, 100)


def test_what_is_forgotten_is_closed(regions, segment):
    before = open_descriptors()
    for name in "abc":
        regions.register(name, segment.name, 0, 100)
    regions.unregister("b")
    regions.unregister("never registered")
    assert [region.name for region in regions.status("")] == ["a", "c"]
    with pytest.raises(NotFound, match="x: shared memory region 'b' is not registered"):
        regions.read(Window("b", 1), "x")
    with pytest.raises(NotFound, match="'b' is not registered"):
        regions.status("b")
    regions.unregister("")
    assert open_descriptors() == before


def test_a_segment_that_becomes_shorter_is_an_error_and_no_crash(regions, segment):
    regions.register("r", segment.name, 0, 100)
    os.truncate(segment, 10)
    with pytest.raises(InvalidRequest, match="has become shorter"):
        regions.read(Window("r", 100), "x")


def test_callers_elsewhere_may_not_use_it(regions, segment):
    regions.register("r", segment.name, 0, 100)
    assert regions.seen_by(Caller("127.0.0.1")).read(Window("r", 1), "x") == b"\0"
    elsewhere = regions.seen_by(Caller("192.0.2.1"))
    with pytest.raises(PermissionDenied, match="callers on this machine"):
        elsewhere.read(Window("r", 1), "x")
    with pytest.raises(PermissionDenied, match="callers on this machine"):
        elsewhere.write(Window("r", 1), b"a", "x")
