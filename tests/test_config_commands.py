"""From KEY=VALUE to a patch; what a running gateway makes of it is in tests/test_reload_process.py."""

import pytest
from typer.testing import CliRunner

from gateway.cli import app
from gateway.config_commands import build_patch


def test_keys_are_paths_and_values_are_yaml():
    assert build_patch(
        ["retries.attempts=2", "retries.budget=0.5", "cache=null", "hedging={percentile: 0.9}", "name=a=b", "x="]
    ) == {
        "retries": {"attempts": 2, "budget": 0.5},
        "cache": None,
        "hedging": {"percentile": 0.9},
        "name": "a=b",
        "x": None,
    }


def test_a_name_with_dots_is_quoted():
    assert build_patch(['labels."resnet.v2".stable="3"', "labels.mlp-1.a b=2"]) == {
        "labels": {"resnet.v2": {"stable": "3"}, "mlp-1": {"a b": 2}}
    }


@pytest.mark.parametrize(
    "values",
    [
        ["retries"],
        ["=3"],
        ["a..b=3"],
        [".a=3"],
        ["a.=3"],
        ['a"b=3'],
        ["a=1", "a=2"],
        ["a=1", "a.b=2"],
        ["a.b=2", "a=1"],
        ["a=[1"],
        ["a=2001-01-01"],
        ["a=.nan"],
    ],
)
def test_what_is_no_pair_is_refused_with_exit_code_2(values):
    with pytest.raises(ValueError, match=r"^'"):
        build_patch(values)
    assert CliRunner().invoke(app, ["config", "set", *values]).exit_code == 2


def test_without_a_gateway_it_says_so(tmp_path):
    path = tmp_path / "gateway.yaml"
    path.write_text("backends: {}\nadmin: {port: 1}\n")
    done = CliRunner().invoke(app, ["config", "show", "--config", str(path)])
    assert (done.exit_code, "no gateway answers at 127.0.0.1:1" in done.output) == (1, True)


def test_help_fits_80_columns_and_shows_examples():
    for command in ("show", "set", "reload"):
        done = CliRunner().invoke(
            app, ["config", command, "--help"], env={"COLUMNS": "80", "TERMINAL_WIDTH": "80"}, prog_name="gateway"
        )
        assert max(map(len, done.stdout.splitlines())) <= 80
        assert "Example" in done.stdout
