import subprocess
from importlib import metadata

import pytest

from benchmarks.environment import environment, our_version
from benchmarks.errors import CannotMeasure


@pytest.fixture
def commands(monkeypatch):
    """What would be run, without running it; ``code`` is how pip ends."""

    class Commands(list):
        code = 0
        says = b""

    ran = Commands()

    def run(command, *, stdout, **_):
        ran.append(command)
        pip = "pip" in command
        if pip:
            with open(stdout, "wb", closefd=False) as log:
                log.write(ran.says)
        return subprocess.CompletedProcess(command, ran.code if pip else 0)

    monkeypatch.setattr(subprocess, "run", run)
    return ran


def test_what_is_asked_for_is_installed_into_its_own_environment(tmp_path, commands):
    made = environment(tmp_path / "peer", ["a==1", "b==2"])
    venv, pip = commands
    assert venv[1:3] == ["-m", "venv"]
    assert pip[0] == str(made.python) == str(tmp_path / "peer" / "bin" / "python")
    assert pip[-2:] == ["a==1", "b==2"]


def test_what_is_there_is_used_again(tmp_path, commands):
    for _ in range(2):
        environment(tmp_path / "peer", ["a==1"])
    assert len(commands) == 2


def test_another_version_is_installed(tmp_path, commands):
    for version in ("a==1", "a==2"):
        environment(tmp_path / "peer", [version])
    assert commands[-1][-1] == "a==2"


def test_what_does_not_install_is_said_and_tried_again(tmp_path, commands):
    commands.code, commands.says = 1, b"ERROR: no such version\n"
    for _ in range(2):
        with pytest.raises(CannotMeasure, match="cannot be installed: ERROR: no such version"):
            environment(tmp_path / "peer", ["a==1"])
    assert len(commands) == 4


def test_our_version_is_what_is_installed_here():
    assert our_version("numpy") == f"numpy=={metadata.version('numpy')}"
