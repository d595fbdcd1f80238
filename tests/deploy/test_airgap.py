"""What deploy/airgap says when it cannot do what it is asked for; what it makes is seen in tests/docker."""

import os
import subprocess
from pathlib import Path

import pytest

AIRGAP = Path(__file__).parents[2] / "deploy" / "airgap"


def run(script, *arguments, **environment):
    return subprocess.run(
        [AIRGAP / script, *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("script", "arguments", "says"),
    [
        ("base", ["--mirror"], "--mirror needs a value"),
        ("base", ["--verbose"], "unknown option --verbose"),
        ("base", ["--ca-bundle", "/nowhere/ca.pem"], "/nowhere/ca.pem is no file of PEM certificates"),
        ("build", ["--wheels"], "--wheels needs a value"),
        ("build", ["--verbose"], "unknown option --verbose"),
        ("wheels", [], "usage: deploy/airgap/wheels DIR"),
    ],
)
def test_wrong_usage_is_one_sentence(script, arguments, says):
    done = run(script, *arguments)
    assert done.returncode == 2
    assert says in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_no_engine_is_one_sentence():
    done = run("base", DOCKER_HOST="unix:///nowhere/docker.sock")
    assert done.returncode == 1
    assert done.stderr == "deploy/airgap/base: no Docker engine answers (docker version)\n"


def test_wheels_that_cannot_be_had(tmp_path):
    done = run("wheels", str(tmp_path), PIP_NO_INDEX="1", PIP_FIND_LINKS="", PIP_CONFIG_FILE=os.devnull)
    assert done.returncode == 1
    assert "deploy/airgap/wheels: pip could not collect the wheels" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_help_shows_the_options_of_both():
    done = run("build", "--help")
    assert done.returncode == 0
    assert all(option in done.stdout for option in ("--wheels DIR", "--mirror URL", "--ca-bundle FILE", "--force"))
