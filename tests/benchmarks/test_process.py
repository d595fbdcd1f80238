import http.server
import sys
import threading

import pytest

from benchmarks.errors import CannotMeasure
from benchmarks.process import check_alive, free_ports, last_words, only_run, running, wait_until_listening
from gateway.runtime.procfs import start_time

PARENT = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print(child.pid, flush=True)
child.wait()
"""


def wait_for_line(log):
    while not (text := log.read_text()).endswith("\n"):
        pass
    return text


def test_what_a_server_has_started_ends_with_it(tmp_path, monkeypatch):
    monkeypatch.setattr("benchmarks.process._REST_SECONDS", 0.3)
    log = tmp_path / "logs" / "server.log"
    with running([sys.executable, "-c", PARENT], log, directory=tmp_path) as process:
        child = int(wait_for_line(log))
        assert start_time(child)
    assert process.returncode is not None
    assert start_time(child) is None


def test_one_that_does_not_want_to_end_is_killed(tmp_path, monkeypatch):
    monkeypatch.setattr("benchmarks.process._STOP_SECONDS", 0.1)
    monkeypatch.setattr("benchmarks.process._REST_SECONDS", 0.3)
    stubborn = "import signal, time; signal.signal(15, signal.SIG_IGN); print(flush=True); time.sleep(60)"
    log = tmp_path / "log"
    with running([sys.executable, "-c", stubborn], log, directory=tmp_path) as process:
        wait_for_line(log)
    assert process.returncode == -9


def test_servers_end_also_when_the_measurement_fails(tmp_path):
    with pytest.raises(RuntimeError), running(["sleep", "60"], tmp_path / "log", directory=tmp_path) as process:
        raise RuntimeError
    assert process.returncode is not None


def test_one_that_has_ended_is_said_with_its_last_words(tmp_path):
    log = tmp_path / "log"
    with running([sys.executable, "-c", "import sys; sys.exit('no such port')"], log, directory=tmp_path) as process:
        process.wait()
        with pytest.raises(CannotMeasure, match="exit code 1: no such port"):
            check_alive(process, log)


def test_last_words_of_one_that_said_nothing(tmp_path):
    log = tmp_path / "log"
    log.write_text("\n \n")
    assert last_words(log) == "(it said nothing)"


def test_waits_until_somebody_listens(tmp_path):
    (port,) = free_ports(1)
    log = tmp_path / "log"
    with running(["sleep", "60"], log, directory=tmp_path) as process:
        with pytest.raises(CannotMeasure, match="does not listen"):
            wait_until_listening(f"127.0.0.1:{port}", process, log, 0.0)
        with http.server.HTTPServer(("127.0.0.1", port), http.server.BaseHTTPRequestHandler) as server:
            threading.Thread(target=server.handle_request, daemon=True).start()
            wait_until_listening(f"127.0.0.1:{port}", process, log, 0.0)


def test_ports_are_free_and_each_another():
    assert len(set(free_ports(20))) == 20


def test_one_run_at_a_time(tmp_path):
    folder = tmp_path / "bench"
    with only_run(folder):
        with pytest.raises(CannotMeasure, match="another run"), only_run(folder):
            pass
    with only_run(folder):
        pass
