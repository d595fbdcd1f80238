"""A ``gateway serve`` process that is told by signals and by ``gateway config``."""

import fcntl
import json
import os
import pty
import signal
import subprocess
import sys
import termios

import pytest
import yaml
from support.gateways import ENGINE, FREE
from support.tiny_store import make_store
from typer.testing import CliRunner

from gateway.cli import app


class Process:
    """``gateway serve`` on ``path``; yields its log line by line."""

    def __init__(self, path, **options):
        command = [sys.executable, "-m", "gateway.cli", "serve", "--config", str(path)]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, **options)

    def until(self, event):
        for line in self.process.stderr:
            entry = json.loads(line)
            if entry["event"] == event:
                return entry
        raise AssertionError(f"it ended before it said {event!r}")

    def close(self):
        self.process.terminate()
        self.process.stderr.read()
        code = self.process.wait(20)
        self.process.stderr.close()
        return code


@pytest.fixture
def write(tmp_path):
    path = tmp_path / "gateway.yaml"
    document = {
        **dict.fromkeys(("http", "grpc", "metrics", "admin"), FREE),
        "watch": False,
        "model_store": str(make_store(tmp_path / "store")),
        "models": ["double"],
        "backends": {"engine": ENGINE},
        "drain": {"grace": 0.0},
    }

    def write(**changes):
        path.write_text(yaml.safe_dump({**document, **changes}))
        return path

    return write


def test_a_hangup_has_the_file_read_anew_and_the_command_line_changes_the_rest(write, tmp_path):
    process = Process(write())
    try:
        address = process.until("serving")["admin"]
        write(retries={"attempts": 5})
        process.process.send_signal(signal.SIGHUP)
        applied = process.until("configuration applied")
        assert (applied["trigger"], applied["changes"]) == ("signal", "retries.attempts: 3 -> 5")
        write(retries={"attempts": 5}, http={**FREE, "port": 1})
        process.process.send_signal(signal.SIGHUP)
        assert process.until("configuration refused")["reason"] == "http.port: needs a restart"

        running = tmp_path / "running.yaml"
        host, _, port = address.partition(":")
        running.write_text(yaml.safe_dump({"admin": {"host": host, "port": int(port)}, "backends": {}}))

        def config(*arguments):
            done = CliRunner().invoke(app, ["config", *arguments, "--config", str(running)], env={"COLUMNS": "80"})
            return done.exit_code, done.output

        assert config("set", "retries.attempts=9", "hedging={}", "--dry-run")[1].splitlines() == [
            "retries.attempts: 5 → 9",
            'hedging: null → {"percentile": 0.95, "budget": 0.05, "torchserve": false}',
            "would change; nothing has",
        ]
        assert config("set", "retries.attempts=4") == (
            0,
            "retries.attempts: 5 → 4\nUntil the file is read again; write it there too.\n",
        )
        code, shown = config("show", "--json")
        assert (code, json.loads(shown)["retries"]["attempts"]) == (0, 4)
        assert yaml.safe_load(config("show")[1]) == json.loads(shown)
        assert config("set", "retries.attempts=99")[1].startswith("error: HTTP 400: retries.attempts: ")
        assert config("set", "name=x") == (1, "error: HTTP 409: name: needs a restart\n")
        assert config("reload")[0] == 1  # the port is still wrong in the file
        write(retries={"attempts": 5})
        code, reloaded = config("reload", "--json")
        changed = {"retries.attempts": {"from": 4, "to": 5}}
        assert (code, json.loads(reloaded)) == (0, {"changed": changed, "dry_run": False})
        assert config("reload") == (0, "nothing has changed\n")
    finally:
        assert process.close() == 0


@pytest.mark.parametrize("hangups", [signal.SIG_DFL, signal.SIG_IGN], ids=["", "nohup"])
def test_a_hangup_of_the_terminal_ends_it_unless_hangups_were_ignored(write, hangups):
    master, slave = pty.openpty()

    def take_terminal():
        os.setsid()
        fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
        signal.signal(signal.SIGHUP, hangups)

    process = Process(write(), preexec_fn=take_terminal, pass_fds=(slave,))
    os.close(slave)
    try:
        process.until("serving")
        process.process.send_signal(signal.SIGHUP)
        process.until("configuration unchanged")  # the terminal is there
        os.close(master)
        if hangups is signal.SIG_IGN:
            process.until("configuration unchanged")
        else:
            process.until("drained")
            assert process.process.wait(20) == 0
    finally:
        process.close()
