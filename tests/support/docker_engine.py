"""Whether a Docker engine answers here."""

import shutil
import subprocess


def engine_answers():
    """Whether `docker` reaches an engine, as Compose and the Docker SDK would."""
    if shutil.which("docker") is None:
        return False
    command = ["docker", "version", "--format", "{{.Server.Version}}"]
    return subprocess.run(command, capture_output=True, check=False, timeout=30).returncode == 0
