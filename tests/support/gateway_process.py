"""``gateway serve`` as a process of its own, for clients that block."""

import contextlib
import json
import subprocess
import sys

import yaml

from support.stack import _die_with_parent, wait_until


@contextlib.contextmanager
def gateway_process(folder, configuration):
    """Its addresses (``host:port`` by listener), while it serves; ``folder`` is for its file and its log."""
    config, log = folder / "gateway.yaml", folder / "gateway.log"
    config.write_text(yaml.safe_dump(configuration.model_dump(mode="json", exclude_unset=True)))
    command = [sys.executable, "-m", "gateway.cli", "serve", "--config", str(config)]
    with log.open("w") as output:
        process = subprocess.Popen(command, stderr=output, preexec_fn=_die_with_parent)  # noqa: PLW1509 - as in stack
    try:
        wait_until(lambda: process.poll() is not None or _serving(log), 60)
        assert process.poll() is None, log.read_text()
        yield _serving(log)
    finally:
        process.terminate()
        process.wait(30)


def _serving(log):
    """What it says when all of it serves; None before."""
    lines = (json.loads(line) for line in log.read_text().splitlines() if '"serving"' in line)
    return next(lines, None)
