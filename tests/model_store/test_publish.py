import contextlib
import threading

import pytest

from model_store.publish import build_lock, publish, staging


def build(home, content, version="1"):
    with staging(home) as folder:
        (folder / "manifest.json").write_text(content)
        publish(folder, home, version)
    return folder


def shown(home, version="1"):
    return (home / version / "manifest.json").read_text()


@pytest.fixture
def home(tmp_path):
    return tmp_path / "model"


def test_a_published_build_is_shown_under_its_version(home):
    build(home, "first")
    assert shown(home) == "first"


def test_a_new_build_takes_the_place_of_the_old_one(home):
    old = build(home, "first")
    build(home, "second")
    assert shown(home) == "second"
    assert (old / "manifest.json").read_text() == "first"  # a reader may still be in it
    build(home, "third")
    assert not old.exists()


def test_a_failing_build_leaves_the_old_one_and_nothing_else(home):
    build(home, "first")
    with contextlib.suppress(ZeroDivisionError), staging(home) as folder:
        (folder / "half").write_text(f"{1 / 0}")
    assert not folder.exists()
    assert shown(home) == "first"
    assert len([*(home / ".builds").iterdir()]) == 1


def test_leftovers_of_a_killed_build_go_with_the_next_one(home):
    build(home, "first")
    leftover = home / ".builds" / "dead"
    leftover.mkdir()
    (leftover / "big").write_bytes(b"0" * 100)
    build(home, "second")
    assert not leftover.exists()
    assert shown(home) == "second"


def test_versions_do_not_touch_each_other(home):
    build(home, "one", "1")
    build(home, "two", "2")
    build(home, "two again", "2")
    assert (shown(home, "1"), shown(home, "2")) == ("one", "two again")


def test_there_is_a_whole_model_at_every_moment(home):
    """One read at least ends between two builds: a reader has the time of one build, as ``staging`` promises."""
    build(home, "x" * 10)
    done, seen, failures = threading.Event(), [], []
    read_once = threading.Semaphore(0)

    def read():
        while not done.is_set():
            try:
                seen.append(len(shown(home)))
            except OSError as error:
                failures.append(error)
            read_once.release()

    reader = threading.Thread(target=read)
    reader.start()
    for size in range(11, 60):
        build(home, "x" * size)
        # The first that ends may have begun before; the second has seen this build.
        while read_once.acquire(blocking=False):
            pass
        assert read_once.acquire(timeout=10)
        assert read_once.acquire(timeout=10)
    done.set()
    reader.join()
    assert failures == []
    assert seen == sorted(seen)
    assert {*seen} >= {*range(11, 60)}


def test_one_builder_at_a_time(home):
    order = []
    inside, waiting = threading.Event(), threading.Event()

    def second():
        inside.wait(10)
        with build_lock(home, waiting.set):
            order.append("second")

    thread = threading.Thread(target=second)
    thread.start()
    with build_lock(home, lambda: order.append("first had to wait")):
        inside.set()
        assert waiting.wait(10)
        order.append("first")
    thread.join(10)
    assert order == ["first", "second"]
