from pathlib import Path

import pytest

from benchmarks import tools
from benchmarks.matrix import QUICK
from benchmarks.tools import Tool, tool_times, wrk_script
from benchmarks.ways import Server
from loadtest.targets.wires import Message


def test_wrk_sends_the_same_request():
    script = wrk_script(Message(b"body", "/path", {"content-type": "x/y", "a": "1"}), Path("/t/body"))
    assert 'wrk.headers["content-type"] = "x/y"' in script
    assert 'wrk.headers["a"] = "1"' in script
    assert 'io.open("/t/body", "rb")' in script


@pytest.fixture
def servers():
    return [Server(name, "", f"{name}:1", f"{name}:2", 0) for name in ("direct", "gateway")]


def test_each_server_is_asked_over_the_tools_protocol(monkeypatch, servers, digits_store):
    asked = []

    def measure(address, load):
        asked.append((address, load.connections))
        return {"direct:2": 0.1, "gateway:2": 0.2}[address], 0.5

    monkeypatch.setattr(tools, "TOOLS", (Tool("sh", tools.GRPC, measure), Tool("no-such-tool", tools.BINARY, measure)))
    found = tool_times(servers, digits_store, QUICK)
    assert sorted(asked) == [(f"{name}:2", number) for name in ("direct", "gateway") for number in QUICK.connections]
    assert {(one.server, one.p50) for one in found} == {("direct", 0.1), ("gateway", 0.2)}
