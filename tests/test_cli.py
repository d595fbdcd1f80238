"""The ``gateway`` command as a user meets it, without any server running."""

import re
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from gateway.cli import app


def gateway(*arguments):
    return CliRunner().invoke(app, arguments, env={"COLUMNS": "80", "TERMINAL_WIDTH": "80"}, prog_name="gateway")


GOOD = "backends: {o: {kind: oip, url: 'http://127.0.0.1:1'}}\nhttp: {port: 1}\nadmin: {port: 2}\n"


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "gateway.yaml"
    path.write_text(GOOD + f"model_store: {tmp_path}\n")
    return path


def test_help_fits_80_columns_and_shows_examples():
    for command in ([], ["serve"], ["check-config"], ["infer"], ["models"], ["up"], ["down"], ["status"]):
        done = gateway(*command, "--help")
        assert max(map(len, done.stdout.splitlines())) <= 80
        assert "Usage" in done.stdout
        if command:
            assert "Example" in done.stdout, command


def test_version():
    assert re.fullmatch(r"\d+\.\d+\.\d+\n", gateway("--version").stdout)


@pytest.mark.parametrize(("closed", "number"), [("0<&-", 0), ("1>&-", 1), ("2>&-", 2)])
def test_no_socket_gets_the_number_of_a_standard_stream(tmp_path, closed, number):
    says = f"import os; open({str(tmp_path / 'said')!r}, 'w').write(os.readlink('/proc/self/fd/{number}'))"
    program = f"from gateway import cli; cli.app = lambda: exec({says!r}); cli.main()"
    subprocess.run(["/bin/sh", "-c", f'"$0" -c "$1" {closed}', sys.executable, program], check=True)
    assert (tmp_path / "said").read_text() == "/dev/null"


def test_a_good_configuration_is_summed_up(config):
    assert "ok; backends: o (oip)" in gateway("check-config", "--config", str(config)).stdout


@pytest.mark.parametrize("command", ["check-config", "serve", "up"])
@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("htp: 1", "htp: unknown key (got 1)"),
        ("grpc: {port: many}", "grpc.port: Input should be a valid integer"),
        ("grpc: {port: 1}", "grpc.port: port 1 is already used by http.port"),
    ],
)
def test_a_bad_configuration_is_named_and_ends_with_2(config, command, line, problem):
    config.write_text(GOOD + line)
    done = gateway(command, "--config", str(config))
    assert done.exit_code == 2
    assert str(config) in done.stderr
    assert problem in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "problem"),
    [
        (["infer", "m"], 2, "exactly one of --image, --text, --npy and --json"),
        (["infer", "m", "--image", "a", "--npy", "b"], 2, "exactly one of"),
        (["infer", "m", "--image", "a", "--text", ""], 2, "exactly one of"),
        (["infer"], 2, "Missing argument"),
        (["infer", "m", "--image", "a", "--protocol", "smtp"], 2, "smtp"),
        (["infer", "m", "--image", "a"], 1, "model 'm' is not in the store"),
        (["models"], 1, "no gateway answers at 127.0.0.1:2; start one with: gateway up"),
        (["lunch"], 2, "No such command"),
    ],
)
def test_wrong_arguments_are_one_sentence(config, arguments, code, problem):
    if arguments[0] != "lunch":
        arguments = [*arguments, "--config", str(config)]
    done = gateway(*arguments)
    assert done.exit_code == code
    assert problem in " ".join(re.sub(r"[│\s]+", " ", done.stderr).split())
    assert "Traceback" not in done.stderr
