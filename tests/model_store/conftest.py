"""Builds whose heavy steps are played by hand, and the command line."""

import sys

import pytest
from support.played_build import Play, Workshop

from model_store import cli


@pytest.fixture
def play(monkeypatch):
    """What the steps of every build and verification do in this test."""
    return Play().install(monkeypatch)


@pytest.fixture
def workshop(tmp_path, play):
    """A store and the recipe of ``tiny``."""
    return Workshop(tmp_path, play)


@pytest.fixture
def run(monkeypatch, capsys):
    """Run the command line; gives exit code, stdout and stderr."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("GATEWAY_MODEL_STORE", raising=False)

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["model-store", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        captured = capsys.readouterr()
        return ended.value.code or 0, captured.out, captured.err

    return call
