"""One call to the admin port of the gateway in this container, run there by ``gateway deploy``.

``python -m gateway.runtime.docker.ask METHOD PATH [SECONDS]`` prints the answer. A deployment makes many such calls
beside live traffic, so it imports next to nothing, unlike the commands for people.
"""

from __future__ import annotations

import sys
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import yaml

from gateway.runtime.docker import RUN_DIRECTORY

_RESOLVED = Path(RUN_DIRECTORY, "gateway.yaml")  # what `gateway launch` wrote for the gateway: no variable is missing
_SECONDS = 60.0


class _Refused(Exception):
    """The gateway did not do it; the message says why."""


def ask(method: str, path: str, seconds: float) -> str:
    """The body of the gateway's answer.

    Raises:
        _Refused: there is no admin port, nobody answers within ``seconds``, or the status is not 200.
    """
    admin = yaml.safe_load(_RESOLVED.read_text(encoding="utf-8"))["admin"]
    if admin is None:
        raise _Refused("admin: switched off in the gateway's configuration, and a deployment needs it")
    connection = HTTPConnection(admin["host"], admin["port"], timeout=seconds)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        body = answer.read().decode()
    except (OSError, HTTPException) as error:
        raise _Refused(f"no answer from its admin port: {error}") from None
    finally:
        connection.close()
    if answer.status != 200:
        raise _Refused(f"HTTP {answer.status} {body}")
    return body


def main() -> None:
    """The module's command line."""
    _, method, path, *seconds = sys.argv
    try:
        sys.stdout.write(ask(method, path, float(seconds[0]) if seconds else _SECONDS))
    except (_Refused, OSError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
