from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway.runtime.probe import ProbeFailed, probe, saved_in

Server = Callable[..., int]


@pytest.fixture
def server() -> Iterator[Server]:
    """Starts servers that give one answer, and close at once or when the client does; returns the port."""
    threads = []

    def start(answer: bytes, *, closes: bool = True) -> int:
        listener = socket.create_server(("127.0.0.1", 0))

        def serve() -> None:
            with listener, listener.accept()[0] as connection:
                while not connection.recv(65536).endswith(b"body"):
                    pass
                connection.sendall(answer)
                if not closes:
                    connection.recv(1)

        threads.append(threading.Thread(target=serve))
        threads[-1].start()
        return int(listener.getsockname()[1])

    yield start
    for thread in threads:
        thread.join()


def save(run: Path, model: str, port: int) -> None:
    saved_in(run, "onnx").mkdir(exist_ok=True)
    request = f"POST /v2/models/{model}/infer HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\nbody"
    (saved_in(run, "onnx") / f"{model}.http").write_bytes(request.encode())


def test_every_model_is_asked(server: Server, tmp_path: Path) -> None:
    save(tmp_path, "a%2Fb", server(b"HTTP/1.1 200 OK\r\n\r\n{}"))
    save(tmp_path, "c", server(b"HTTP/1.1 200 OK\r\n\r\n{}"))
    assert probe("onnx", tmp_path) == ["a/b", "c"]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"HTTP/1.1 503 No\r\n\r\n{'error':\n 'busy'}", "onnx: no inference of digits: HTTP 503 {'error': 'busy'}"),
        (b"", "onnx: no inference of digits: HTTP without an answer"),
    ],
)
def test_any_other_answer_is_a_failure(server: Server, tmp_path: Path, answer: bytes, message: str) -> None:
    save(tmp_path, "digits", server(answer))
    with pytest.raises(ProbeFailed) as caught:
        probe("onnx", tmp_path)
    assert str(caught.value) == message


@pytest.mark.timeout(20)
def test_a_whole_answer_is_enough(server: Server, tmp_path: Path) -> None:
    save(tmp_path, "digits", server(b"HTTP/1.1 200 OK\r\nContent-length: 2\r\n\r\n{}", closes=False))
    assert probe("onnx", tmp_path) == ["digits"]


def test_a_server_that_does_not_listen(tmp_path: Path, free_ports: Callable[[int], list[int]]) -> None:
    save(tmp_path, "digits", free_ports(1)[0])
    with pytest.raises(ProbeFailed, match=r"onnx: no inference of digits: .*Connection refused"):
        probe("onnx", tmp_path)


def test_the_module_runs_by_itself(server: Server, tmp_path: Path) -> None:
    save(tmp_path, "digits", server(b"HTTP/1.1 200 OK\r\n\r\n{}"))
    command = [sys.executable, "-P", "-X", "importtime", "-m", "gateway.runtime.probe", "onnx", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    # It runs every few seconds in every container: nothing that takes long to import.
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}
    assert not imported & {"numpy", "pydantic", "aiohttp", "typer", "asyncio", "json"}
    command = [sys.executable, "-P", "-m", "gateway.runtime.probe", "nobody", str(tmp_path)]
    failed = subprocess.run(command, capture_output=True, text=True, check=False)
    assert failed.returncode == 1
    assert failed.stderr.startswith("error: nobody: no requests are saved in ")
