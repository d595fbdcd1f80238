from __future__ import annotations

import asyncio
import http.client
import os
import signal
import subprocess
import sys
from pathlib import Path

import grpc
import pytest
import uvloop

from loadtest.calibration.null_protocols import GRPC_MESSAGE, HTTP_BODY
from loadtest.calibration.null_server import Transport, null_server
from loadtest.clients import ask
from loadtest.clients.grpc import GrpcClient
from loadtest.clients.http import HttpClient, encode_post
from loadtest.clock import NS, Clock, open_clock
from loadtest.errors import Failed

BODIES = [b"small", bytes(3_000_000)]
BODY = {"HTTP": HTTP_BODY, "gRPC": GRPC_MESSAGE}
TRANSPORTS: list[Transport] = ["HTTP", "gRPC"]


def client_of(transport: Transport, address: str, clock: Clock) -> HttpClient | GrpcClient:
    if transport == "gRPC":
        return GrpcClient(address, "/any.Service/Method", BODIES, clock=clock, timeout=10)
    host, _, port = address.rpartition(":")
    return HttpClient(
        host, int(port), [encode_post(address, "/", {}, body) for body in BODIES], clock=clock, timeout=10
    )


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_every_request_is_answered_however_large_and_however_many(transport: Transport) -> None:
    async def scenario(address: str) -> None:
        with open_clock() as clock:
            client = client_of(transport, address, clock)
            await client.connect(10)
            calls = await asyncio.gather(*(ask(client, number % 2, clock) for number in range(10)))
            assert [(call.failure, call.body) for call in calls] == [("", BODY[transport])] * 10
            await client.close()

    with null_server(transport) as address:
        uvloop.run(scenario(address))


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_delay_is_the_same_for_every_request_and_does_not_add_up(transport: Transport) -> None:
    async def scenario(address: str) -> None:
        with open_clock() as clock:
            client = client_of(transport, address, clock)
            await client.connect(50)
            calls = await asyncio.gather(*(ask(client, 0, clock) for _ in range(50)))
            times = [call.done - call.sent for call in calls]
            assert min(times) >= 0.02 * NS
            assert sum(times) < 50 * 50 / 2 * 0.02 * NS  # what one answer after the other would take
            await client.close()

    with null_server(transport, delay=0.02) as address:
        uvloop.run(scenario(address))


def test_speaks_http_with_another_client() -> None:
    with null_server("HTTP") as address:
        connection = http.client.HTTPConnection(address, timeout=5)
        for method in ("GET", "POST"):
            connection.request(method, "/any/path", body=b"x" * 5)
            answer = connection.getresponse()
            assert (answer.status, answer.read()) == (200, HTTP_BODY)
        connection.close()


def test_speaks_grpc_with_another_client() -> None:
    with null_server("gRPC") as address, grpc.insecure_channel(address) as channel:
        call = channel.unary_unary("/any.Service/Method")
        for body in BODIES:
            assert call(body, timeout=5) == GRPC_MESSAGE


def children(pid: int) -> set[int]:
    pids = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    return {int(pid) for pid in pids.split()}


def test_is_gone_however_the_block_is_left() -> None:
    before = children(os.getpid())

    def interrupted() -> None:
        with null_server("HTTP"):
            assert len(children(os.getpid()) - before) == 1
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert children(os.getpid()) == before


def ignored(pid: int) -> set[int]:
    """Numbers of the signals that a process ignores."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    mask = int(next(line for line in status.splitlines() if line.startswith("SigIgn:")).split()[1], 16)
    return {number + 1 for number in range(64) if mask >> number & 1}


PARENT = """
from loadtest.calibration.null_server import null_server

with null_server("HTTP") as address:
    print(address, flush=True)
    input()
"""


def test_ends_with_a_parent_that_was_killed_and_not_with_ctrl_c() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        address = parent.stdout.readline().strip()
        (server,) = children(parent.pid)
        assert signal.SIGINT in ignored(server)
        connection = http.client.HTTPConnection(address, timeout=5)
        connection.request("GET", "/")
        assert connection.getresponse().read() == HTTP_BODY
        parent.kill()
        assert connection.sock is not None
        assert connection.sock.recv(1) == b""  # the kernel closes what a process leaves
        connection.close()


def test_server_that_does_not_start_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(Failed, match=r"^the null server does not start: exit code 1$"), null_server("HTTP"):
        pass
