"""One real inference of every model of a server that ``gateway launch`` has started, for health checks.

It sends the requests that were saved at the start. It runs every few seconds in every container, so it imports next to
nothing: ``python -m gateway.runtime.probe NAME RUN_DIR``, exit code 0 or 1.
"""

from __future__ import annotations

import socket
import sys
from pathlib import Path
from urllib.parse import unquote

SUFFIX = ".http"
_SECONDS = 30.0
_SHOWN_BODY = 200


class ProbeFailed(Exception):
    """The server did not answer as it should; the message is one sentence."""


def saved_in(run: Path, name: str) -> Path:
    """Where the requests for the server ``name`` are."""
    return run / f"{name}.probe"


def probe(name: str, run: Path) -> list[str]:
    """Ask the server ``name`` of the run directory ``run`` for one inference of each of its models; returns them.

    Raises:
        ProbeFailed: it has not been launched there, or one model does not answer.
    """
    requests = _read(name, saved_in(run, name))
    for model, request in requests.items():
        try:
            _ask(request)
        except (OSError, ProbeFailed) as error:
            raise ProbeFailed(f"{name}: no inference of {model}: {error}") from None
    return [*requests]


def _read(name: str, directory: Path) -> dict[str, bytes]:
    try:
        paths = sorted(directory.glob(f"*{SUFFIX}"))
        requests = {unquote(path.name.removesuffix(SUFFIX)): path.read_bytes() for path in paths}
    except OSError as error:
        raise ProbeFailed(f"{name}: {error.filename}: {error.strerror}") from None
    if not requests:
        raise ProbeFailed(f"{name}: no requests are saved in {directory}; `gateway launch {name}` saves them")
    return requests


def _ask(request: bytes) -> None:
    with socket.create_connection(_address(request), _SECONDS) as connection:
        connection.sendall(request)
        answer = bytearray()
        while not _is_whole(answer) and (received := connection.recv(65536)):
            answer += received
    head, _, body = bytes(answer).partition(b"\r\n\r\n")
    status = head.split(b" ", 2)[1:2]
    if status != [b"200"]:
        shown = " ".join(body[:_SHOWN_BODY].decode(errors="replace").split())
        raise ProbeFailed(f"HTTP {b''.join(status).decode(errors='replace') or 'without an answer'} {shown}".rstrip())


def _is_whole(answer: bytearray) -> bool:
    # TorchServe keeps the connection open, whatever it is asked for.
    head, end, body = answer.partition(b"\r\n\r\n")
    length = head.lower().partition(b"\r\ncontent-length:")[2].partition(b"\r\n")[0].strip()
    return bool(end) and length.isdigit() and len(body) >= int(length)


def _address(request: bytes) -> tuple[str, int]:
    host = request.partition(b"\r\nHost: ")[2].partition(b"\r\n")[0].decode("ascii")
    name, _, port = host.rpartition(":")
    return name.strip("[]"), int(port)


def main() -> None:
    """The module's command line."""
    _, name, run = sys.argv
    try:
        probe(name, Path(run))
    except ProbeFailed as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
