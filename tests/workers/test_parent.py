"""What keeps the parent of several workers from starting, before there are any."""

import socket

import pytest
from support.served_workers import write_config
from typer.testing import CliRunner

from gateway.cli import app


@pytest.fixture(autouse=True)
def _logs_stay(monkeypatch):
    # They would go to the standard error of the command for the rest of the session.
    monkeypatch.setattr("gateway.telemetry.logs.configure_logging", lambda: None)


def serve(tmp_path, *arguments, **changes):
    config = write_config(tmp_path / "gateway.yaml", tmp_path, **changes)
    return CliRunner().invoke(app, ["serve", "--config", str(config), *arguments])


@pytest.mark.parametrize("key", ["http", "grpc", "metrics", "admin"])
def test_a_taken_port_names_its_key(tmp_path, key):
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = serve(tmp_path, "--workers", "2", **{key: {"port": port}})
    assert done.exit_code == 1
    assert done.stderr == f"error: {key}.port: cannot listen on 127.0.0.1:{port}: Address already in use\n"


def test_a_secret_that_cannot_be_read_is_an_error_of_the_configuration(tmp_path):
    done = serve(tmp_path, "--workers", "2", control={"token_file": "none"})
    assert done.exit_code == 2
    assert done.stderr.startswith("error: control.token_file: cannot read none")


@pytest.mark.parametrize("number", ["0", "-1", "257", "many"])
def test_a_senseless_number_of_workers_is_refused(tmp_path, number):
    done = serve(tmp_path, "--workers", number)
    assert done.exit_code == 2
    assert "Invalid value for '--workers'" in done.stderr
    done = serve(tmp_path, workers=number)
    assert done.exit_code == 2
    assert "gateway.yaml: workers: Input should be" in done.stderr


@pytest.mark.parametrize("arguments", [[], ["--workers", "3"]])
def test_shared_memory_needs_one_process(tmp_path, arguments):
    done = serve(tmp_path, *arguments, shared_memory=True, workers=2)
    assert done.exit_code == 2
    assert "workers: a shared memory region is known to one process alone" in done.stderr
