"""The admin port and ``gateway replicas`` over a gateway in front of two real servers behind one name."""

import asyncio
import contextlib
import functools
import json
import sys

import aiohttp
import numpy as np
import pytest
import uvloop
import yaml
from support.gateways import ENGINE, FREE, running, settings
from support.looped import looped
from support.replica_servers import ADDRESSES, NAME, Names, free_port
from support.scaled_store import save_scaled

from gateway.backends.replicated import ReplicatedBackend

FIRST, SECOND, _ = ADDRESSES
UP = {"state": "up", "in_flight": 0}
DRAINING = {"state": "draining", "in_flight": 0}


@pytest.fixture
def names(monkeypatch):
    """What NAME stands for."""
    names = Names()
    monkeypatch.setattr("gateway.connect.ReplicatedBackend", functools.partial(ReplicatedBackend, look_up=names))
    return names


@contextlib.asynccontextmanager
async def front(store, names, protocol, **changes):
    """A gateway in front of servers on FIRST and SECOND; yields a session for its ports, by their names."""
    ports = {"http": free_port(), "grpc": free_port()}
    place = {"url": f"http://{NAME}:{ports['http']}", "grpc": f"{NAME}:{ports['grpc']}"}
    backends = {"servers": {"kind": "oip", "protocol": protocol, "models": ["scaled"], **place}}
    backends["here"] = {**ENGINE, "models": ["other"]}
    async with contextlib.AsyncExitStack() as stack:
        for address in (FIRST, SECOND):
            listeners = {key: {"host": address, "port": port} for key, port in ports.items()}
            upstream = settings(store, {"engine": ENGINE}, models=["scaled"], **listeners)
            await stack.enter_async_context(running(upstream))
        names.addresses = [FIRST, SECOND]
        _, addresses = await stack.enter_async_context(running(settings(store, backends, **changes)))
        yield addresses


@pytest.fixture
def store(tmp_path):
    return save_scaled(save_scaled(tmp_path, 2), 3, name="other")


async def fetch(address, path, method="GET", body=None, **options):
    async with aiohttp.ClientSession() as session:
        async with session.request(method, f"http://{address}{path}", json=body, **options) as answer:
            text = await answer.text()
            return answer.status, json.loads(text) if text.startswith("{") else text


async def infer(addresses):
    tensor = {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": np.ones(2).tolist()}
    status, answer = await fetch(addresses["http"], "/v2/models/scaled/infer", "POST", {"inputs": [tensor]})
    return status, answer["outputs"][0]["data"]


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_replicas_are_shown_drained_and_counted(store, names, protocol):
    @looped
    async def scenario():
        async with front(store, names, protocol) as addresses:
            admin = addresses["admin"]
            _, backends = await fetch(admin, "/backends")
            assert backends["servers"]["replicas"] == {FIRST: UP, SECOND: UP}
            assert backends["here"]["replicas"] == {}
            assert await infer(addresses) == (200, [2.0, 2.0])
            drained = await fetch(admin, f"/backends/servers/replicas/{FIRST}/drain?timeout=5", "POST")
            assert drained == (200, {FIRST: DRAINING, SECOND: UP})
            assert await infer(addresses) == (200, [2.0, 2.0])
            _, metrics = await fetch(addresses["metrics"], "/metrics")
            counts = [line for line in metrics.splitlines() if line.startswith("gateway_backend_replicas{")]
            assert counts == [
                f'gateway_backend_replicas{{backend="servers",state="{state}"}} {count}'
                for state, count in (("up", "1.0"), ("down", "0.0"), ("draining", "1.0"))
            ]
            names.addresses = [SECOND]
            assert await fetch(admin, "/backends/servers/replicas/refresh", "POST") == (200, {SECOND: UP})

    scenario()


REFUSED = [
    ("/backends/nope/replicas/refresh", 404, "backend 'nope' has no replicas; those that have: servers"),
    ("/backends/here/replicas/refresh", 404, "backend 'here' has no replicas; those that have: servers"),
    ("/backends/servers/replicas/10.0.0.1/drain", 404, "backend 'servers' has no replica '10.0.0.1'"),
    (f"/backends/servers/replicas/{FIRST}/drain?timeout=soon", 400, "timeout: seconds between 0 and 86400"),
    (f"/backends/servers/replicas/{FIRST}/drain?timeout=-1", 400, "timeout: seconds between 0 and 86400"),
    (f"/backends/servers/replicas/{FIRST}/drain?timeout=nan", 400, "timeout: seconds between 0 and 86400"),
]


def test_what_cannot_be_done_is_said_in_a_sentence(store, names):
    @looped
    async def scenario():
        async with front(store, names, "http") as addresses:
            for path, status, problem in REFUSED:
                found, answer = await fetch(addresses["admin"], path, "POST")
                assert (found, answer["error"][: len(problem)]) == (status, problem)
            assert (await fetch(addresses["http"], REFUSED[0][0], "POST"))[0] == 404  # not on the data port

    scenario()


def test_the_command_line_does_the_same(store, names, tmp_path):
    async def command(*arguments):
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "gateway.cli", "replicas", *arguments, "--config", str(tmp_path / "gateway.yaml")),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={"COLUMNS": "80"},
        )
        output, errors = await process.communicate()
        return process.returncode, (output or errors).decode()

    async def scenario():
        async with front(store, names, "http") as addresses:
            admin = {**FREE, "port": int(addresses["admin"].rpartition(":")[2])}
            (tmp_path / "gateway.yaml").write_text(yaml.safe_dump({"admin": admin, "backends": {}}))
            code, output = await command("list", "servers")
            assert code == 0
            assert [line.split()[1:6:2] for line in output.splitlines() if "up" in line] == [
                [FIRST, "up", "0"],
                [SECOND, "up", "0"],
            ]
            code, output = await command("drain", "servers", FIRST, "--timeout", "5", "--json")
            assert (code, json.loads(output)) == (0, {FIRST: DRAINING, SECOND: UP})
            results = await asyncio.gather(command("refresh", "servers", "--json"), command("list", "nope"))
            code, output = results[0]
            assert (code, json.loads(output)) == (0, {FIRST: DRAINING, SECOND: UP})
            assert results[1] == (1, "error: no backend is called 'nope'; there are servers, here\n")

    uvloop.run(scenario())
