"""Triton's load generator, unmodified, through every front door that it can speak to."""

import json
import subprocess

import pytest
from support.perf_analyzer import find_perf_analyzer

pytestmark = pytest.mark.needs_perf_analyzer
REQUESTS = 20


@pytest.fixture
def analyze(addresses, blocking, tmp_path):
    """Run perf_analyzer against a listener; returns what it printed."""

    def run(listener, *arguments):
        command = [find_perf_analyzer(), "-u", addresses[listener], "--request-count", str(REQUESTS), *arguments]
        options = {"capture_output": True, "text": True, "timeout": 60, "cwd": tmp_path}
        done = blocking(lambda: subprocess.run(command, check=False, **options))
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


@pytest.mark.parametrize(
    ("listener", "arguments"),
    [
        ("http", ["-m", "simple", "--service-kind", "triton", "-i", "http"]),
        ("http", ["-m", "simple", "-i", "http", "-b", "8", "--shared-memory", "system"]),
        ("http", ["-m", "simple_string", "-i", "http", "-b", "4", "--string-data", "7"]),
        ("grpc", ["-m", "simple", "--service-kind", "triton", "-i", "grpc", "--async"]),
        ("grpc", ["-m", "simple", "-i", "grpc", "--streaming"]),
        ("grpc", ["-m", "simple", "-i", "grpc", "--shared-memory", "system"]),
        ("grpc", ["-m", "simple", "-i", "grpc", "--grpc-compression-algorithm", "gzip"]),
        ("grpc", ["-m", "half_plus_two", "--service-kind", "tfserving", "-i", "grpc", "--shape", "x:1"]),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_measures(analyze, listener, arguments):
    assert f"Request count: {REQUESTS}" in analyze(listener, *arguments)


def test_measures_as_a_client_of_torchserve(analyze, tmp_path):
    body = tmp_path / "body.json"
    body.write_text("[1.0, 2.0]")
    data = tmp_path / "data.json"
    data.write_text(json.dumps({"data": [{"TORCHSERVE_INPUT": [str(body)]}]}))
    output = analyze("http", "-m", "half_plus_two", "--service-kind", "torchserve", "-i", "http", "--input-data", data)
    assert f"Request count: {REQUESTS}" in output
