import hashlib
import os
import platform
import subprocess
from importlib import metadata

import msgspec
import pytest

from loadtest.results import machine
from loadtest.results.environment import Environment
from loadtest.results.machine import StolenTime, checksum, git_sha, this_environment, usable_cores

FILES = {"onnx/model.onnx": "ab" * 32, "samples/cat.npy": "cd" * 32}


@pytest.fixture
def repository(tmp_path, monkeypatch):
    for variable in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        monkeypatch.delenv(variable, raising=False)
    (tmp_path / "file").write_text("one")
    identity = ["-c", "user.name=n", "-c", "user.email=e@example.org"]
    for command in (["init", "-q"], ["add", "file"], [*identity, "commit", "-q", "-m", "first"]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True, capture_output=True)
    return tmp_path


def test_it_describes_this_machine_and_survives_the_file():
    found = this_environment({"m/1": FILES, "made up/": {}})
    assert found.python == platform.python_version()
    assert 1 <= found.cores <= len(os.sched_getaffinity(0))
    assert found.memory_gib > 0
    assert found.cpu
    assert found.system.startswith("Linux ")
    assert found.versions["numpy"] == metadata.version("numpy")
    assert found.models == {"m/1": checksum(FILES)}
    assert msgspec.json.decode(msgspec.json.encode(found), type=Environment) == found


def test_packages_that_are_not_installed_are_left_out(monkeypatch):
    monkeypatch.setattr(machine, "_PACKAGES", ("numpy", "no-such-package"))
    assert this_environment({}).versions.keys() == {"numpy"}


def test_thread_settings(monkeypatch):
    for name in machine._THREAD_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    assert this_environment({}).threads == {}
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.setenv("UNRELATED", "3")
    assert this_environment({}).threads == {"OMP_NUM_THREADS": "3"}


def test_the_checksum_is_of_names_and_contents_in_any_order():
    lines = "".join(f"{digest}  {path}\n" for path, digest in sorted(FILES.items()))
    assert checksum(FILES) == hashlib.sha256(lines.encode()).hexdigest()
    assert checksum(dict(reversed(FILES.items()))) == checksum(FILES)
    assert checksum({**FILES, "onnx/model.onnx": "00" * 32}) != checksum(FILES)
    assert checksum({"other": FILES["onnx/model.onnx"], "samples/cat.npy": "cd" * 32}) != checksum(FILES)


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({"cpu.max": "150000 100000\n"}, 2),
        ({"cpu.max": "50000 100000\n"}, 1),
        ({"cpu.max": "max 100000\n"}, 4),
        ({"cpu.max": "900000 100000\n"}, 4),
        ({"cpu/cpu.cfs_quota_us": "300000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 3),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 4),
        ({"cpu/cpu.cfs_quota_us": "100000\n"}, 4),
        ({"cpu.max": "nonsense\n"}, 4),
        ({}, 4),
    ],
)
def test_a_containers_share_of_the_cores(tmp_path, monkeypatch, files, cores):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3})
    (tmp_path / "cpu").mkdir()
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    assert usable_cores(tmp_path) == cores


def test_the_commit_and_whether_it_is_what_runs(repository):
    told = subprocess.run(["git", "rev-parse", "HEAD"], cwd=repository, capture_output=True, text=True, check=True)
    sha = told.stdout.strip()
    assert git_sha(repository) == sha
    (repository / "file").write_text("two")
    assert git_sha(repository) == f"{sha}-dirty"


def test_no_repository_no_commit_and_no_git(tmp_path, repository, monkeypatch):
    outside = tmp_path / "outside"
    outside.mkdir()
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    assert git_sha(outside) == ""
    subprocess.run(["git", "init", "-q"], cwd=outside, check=True, capture_output=True)
    assert git_sha(outside) == ""
    monkeypatch.setenv("PATH", "")
    assert git_sha(repository) == ""


def test_stolen_time_is_a_share_of_what_passed(monkeypatch):
    ticks = iter([(1000, 10), (1200, 40), (1000, 10)])
    monkeypatch.setattr(machine, "_cpu_ticks", lambda: next(ticks))
    stolen = StolenTime()
    assert stolen.share() == pytest.approx(30 / 200)
    assert stolen.share() == 0  # no time has passed


def test_ticks_are_read():
    total, stolen = machine._cpu_ticks()
    assert total > stolen >= 0
