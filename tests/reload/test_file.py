"""A file that changes in all the ways in which files are changed."""

import asyncio
import contextlib
import os

import pytest
from support.looped import looped

from gateway.config.file import ConfigError
from gateway.reload.file import ConfigFile, Settled

OLD, NEW = "backends: {}\n", "backends: {}\nname: new\n"


def looks(settled, *contents):
    return [settled.see(content) for content in contents]


def test_a_change_is_told_once_it_has_been_seen_twice():
    assert looks(Settled(b"a"), b"a", b"b", b"b", b"b", b"a", b"a") == [False, False, True, False, False, True]


def test_what_is_being_written_is_waited_for():
    assert looks(Settled(b"a"), b"", b"b", b"bc", b"bcd", b"bcd") == [False, False, False, False, True]


def test_what_is_gone_for_a_moment_has_not_changed():
    assert looks(Settled(b"a"), None, None, b"a", b"a") == [False] * 4
    assert looks(Settled(b"a"), b"b", None, b"b", b"b") == [False, False, False, True]


def test_what_was_not_there_at_first_is_new():
    assert looks(Settled(None), None, b"a", b"a") == [False, False, True]


def rewrite(path):
    path.write_text(NEW)


def rename(path):
    other = path.with_suffix(".tmp")
    other.write_text(NEW)
    other.replace(path)


def remove_and_create(path):
    path.unlink()
    path.write_text(NEW)


def same_size_and_time(path):
    before = path.stat()
    path.write_text(OLD.replace("{}", "[]"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@contextlib.asynccontextmanager
async def watched(path):
    """A list that gets the content at each change."""
    seen = []
    changed = asyncio.Event()

    async def note():
        seen.append(path.read_text())
        changed.set()

    file = ConfigFile(path, {})
    task = asyncio.create_task(file.watch(note, interval=0.01))
    yield seen, changed
    task.cancel()
    await asyncio.wait([task])


@pytest.mark.parametrize("change", [rewrite, rename, remove_and_create, same_size_and_time])
def test_however_a_file_changes_it_is_seen_once(tmp_path, change):
    path = tmp_path / "gateway.yaml"
    path.write_text(OLD)

    @looped
    async def scenario():
        async with watched(path) as (seen, changed):
            await asyncio.sleep(0.05)
            assert seen == []
            change(path)
            await changed.wait()
            await asyncio.sleep(0.05)
            assert seen == [path.read_text()]

    scenario()


def test_the_swap_of_a_kubernetes_volume_is_seen(tmp_path):
    for name, text in (("..1", OLD), ("..2", NEW)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "gateway.yaml").write_text(text)
    (tmp_path / "..data").symlink_to("..1")
    path = tmp_path / "gateway.yaml"
    path.symlink_to("..data/gateway.yaml")

    @looped
    async def scenario():
        async with watched(path) as (seen, changed):
            (tmp_path / "..data_tmp").symlink_to("..2")
            (tmp_path / "..data_tmp").replace(tmp_path / "..data")
            await changed.wait()
            assert seen == [NEW]

    scenario()


def test_a_change_between_the_first_reading_and_the_watch_is_seen(tmp_path):
    path = tmp_path / "gateway.yaml"
    path.write_text(OLD)

    @looped
    async def scenario():
        file = ConfigFile(path, {})
        file.load()
        path.write_text(NEW)
        changed = asyncio.Event()

        async def note():
            changed.set()

        task = asyncio.create_task(file.watch(note, interval=0.01))
        await changed.wait()
        task.cancel()

    scenario()


def test_a_pipe_is_not_read_twice(tmp_path):
    path = tmp_path / "gateway.yaml"
    os.mkfifo(path)
    file = ConfigFile(path, {})
    with pytest.raises(ConfigError, match="only a regular file can be read anew"):
        file.load()


@pytest.mark.parametrize("text", ["name: 2001-99-99\n", "[" * 5000, "a: [\n", "- 1\n", "", "\x00"])
def test_whatever_is_in_a_file_is_an_error_of_the_file(tmp_path, text):
    path = tmp_path / "gateway.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"gateway\.yaml: "):
        ConfigFile(path, {}).load()


def test_the_environment_stays_over_the_file(tmp_path):
    path = tmp_path / "gateway.yaml"
    path.write_text(NEW)
    assert ConfigFile(path, {"GATEWAY_DEFAULT_TIMEOUT": "7"}).load().default_timeout == 7
    assert len(ConfigFile(None, {}).load().backends) == 3
