"""The tables of docs/protocols.md say what the code does."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway.cli import app
from gateway.frontends.operations import Operation, bound
from gateway.operations_table import entries, markdown

REPOSITORY = Path(__file__).parent.parent


def test_the_page_is_up_to_date():
    done = subprocess.run([sys.executable, "scripts/protocols", "--check"], cwd=REPOSITORY, check=False)
    assert done.returncode == 0, "run: make docs"


def test_no_door_lists_an_operation_twice():
    counts = Counter((entry.protocol, entry.transport, entry.operation.key) for entry in entries())
    assert [key for key, count in counts.items() if count > 1] == []


def test_every_operation_is_a_row():
    assert markdown().count("\n| `") == len(list(entries()))


def test_the_command_lists_them_all():
    result = CliRunner().invoke(app, ["operations", "--json"])
    assert result.exit_code == 0
    assert result.stdout.count('"path"') == len(list(entries()))


def test_a_handler_without_an_operation_and_the_reverse_are_refused():
    offered = Operation("GET", "/a", "")
    with pytest.raises(ValueError, match="/a"):
        bound([offered], {})
    with pytest.raises(ValueError, match="/b"):
        bound([offered], {("GET", "/a"): "handler", ("GET", "/b"): "handler"})
    missing = Operation("GET", "/c", "", missing="because")
    assert bound([offered, missing], {("GET", "/a"): "handler"}) == [(offered, "handler"), (missing, None)]
