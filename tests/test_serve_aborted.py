"""A ``gateway serve`` that is aborted, as `gateway up` does with one that hangs: real processes."""

import json
import signal
import subprocess
import sys

import pytest
from support.scaled_store import save_scaled
from support.served_workers import write_config


@pytest.mark.parametrize("workers", [1, 2])
def test_it_writes_what_its_threads_do(tmp_path, workers):
    config = write_config(tmp_path / "gateway.yaml", save_scaled(tmp_path / "store", 2), workers=workers)
    command = [sys.executable, "-m", "gateway.cli", "serve", "--config", str(config)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        while json.loads(process.stderr.readline())["event"] != "serving":
            pass
        process.send_signal(signal.SIGABRT)
        _, written = process.communicate(timeout=60)
        assert process.returncode == -signal.SIGABRT
        assert "Fatal Python error: Aborted" in written
        assert "gateway/cli.py" in written
    finally:
        process.kill()
        process.wait()
