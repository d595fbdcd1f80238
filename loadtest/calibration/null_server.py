"""A server that does nothing, in a process of its own, which never outlives the one that started it.

``python -m loadtest.calibration.null_server TRANSPORT DELAY`` serves on a free port of the loopback interface, writes
its number on a line, and ends when its standard input does.
"""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import uvloop

from loadtest.calibration.null_protocols import Answers, NullGrpc, NullHttp
from loadtest.clock import NS, open_clock
from loadtest.errors import Failed

Transport = Literal["HTTP", "gRPC"]

_PROTOCOLS = {"HTTP": NullHttp, "gRPC": NullGrpc}


@contextmanager
def null_server(transport: Transport, *, delay: float = 0.0) -> Iterator[str]:
    """The address of a running server that answers each request after ``delay`` seconds, however many there are.

    Raises:
        Failed: it does not start.
    """
    command = [sys.executable, "-m", __name__, transport, str(delay)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            port = process.stdout.readline() if process.stdout else ""
            if not port:
                raise Failed(f"the null server does not start: exit code {process.wait()}")
            yield f"127.0.0.1:{int(port)}"
        finally:
            process.kill()


async def _serve(transport: str, delay: float) -> None:
    loop = asyncio.get_running_loop()
    parent_gone = asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), parent_gone.set)
    with open_clock() as clock:
        answers = Answers(clock, round(delay * NS))
        server = await loop.create_server(lambda: _PROTOCOLS[transport](answers), "127.0.0.1", 0, backlog=4096)
        print(server.sockets[0].getsockname()[1], flush=True)  # noqa: T201
        await parent_gone.wait()


if __name__ == "__main__":
    # Ctrl-C reaches the whole process group, but the parent decides when this is over.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    uvloop.run(_serve(sys.argv[1], float(sys.argv[2])))
