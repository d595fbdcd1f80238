from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import tools
from benchmarks.matrix import QUICK
from benchmarks.tools import Load, Times, Tool, tool_times, wrk_script
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
        return Times({"direct:2": 0.1, "gateway:2": 0.2}[address], 0.5, {"direct:2": 80.0, "gateway:2": 60.0}[address])

    monkeypatch.setattr(tools, "TOOLS", (Tool("sh", tools.GRPC, measure), Tool("no-such-tool", tools.BINARY, measure)))
    found = tool_times(servers, digits_store, QUICK)
    assert sorted(asked) == [(f"{name}:2", number) for name in ("direct", "gateway") for number in QUICK.connections]
    assert {(one.server, one.p50, one.throughput, one.rate_ratio) for one in found} == {
        ("direct", 0.1, 80.0, None),
        ("gateway", 0.2, 60.0, 0.75),
    }


def test_rounds_are_compared_each_with_its_own(monkeypatch, servers, digits_store):
    rates = {"direct:2": iter([10.0, 100.0, 30.0]), "gateway:2": iter([20.0, 100.0, 15.0])}
    measure = lambda address, load: Times(0.1, 0.5, next(rates[address]))  # noqa: E731
    monkeypatch.setattr(tools, "TOOLS", (Tool("sh", tools.GRPC, measure),))
    found = tool_times(servers, digits_store, replace(QUICK, connections=(1,), tool_rounds=3))
    assert {(one.server, one.throughput, one.rate_ratio) for one in found} == {
        ("direct", 30.0, None),
        ("gateway", 20.0, 1.0),
    }


@pytest.fixture
def load(tmp_path):
    return Load(Message(b"body", "/path", {}), 16, 2, tmp_path)


def test_what_wrk_prints_is_read(monkeypatch, load):
    monkeypatch.setattr(tools, "_output", lambda *_: "Running 2s test\nmeasured 1500 44700 1665.250000\n")
    assert tools._wrk("127.0.0.1:1", load) == Times(0.0015, 0.0447, 1665.25)


def test_what_h2load_logs_is_read(monkeypatch, load):
    def output(command, load):
        took = [2000, 1000, 3000]
        lines = [f"{10**15 + 10**6 * number}\t200\t{each}\n" for number, each in enumerate(took)]
        (load.folder / "log").write_text("".join(lines))

    monkeypatch.setattr(tools, "_output", output)
    measured = tools._h2load("127.0.0.1:1", load)
    assert measured.p50 == 0.002
    assert measured.p99 == 0.003
    assert measured.throughput == pytest.approx(3 / 2.003)
