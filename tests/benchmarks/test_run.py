"""One run with played servers: nothing is installed, started or measured."""

import asyncio
import contextlib
import os
import time

import pytest

from benchmarks import run as module
from benchmarks.errors import CannotMeasure, Interrupted
from benchmarks.matrix import JSON, QUICK
from benchmarks.measure import Found
from benchmarks.peers.peer import Peer
from benchmarks.run import TOLERANCE, Run
from benchmarks.ways import Server


def peer(name):
    return Peer(name=name, requirements=("x==1",), forms=(JSON,), command=lambda _: [], remark="as it comes")


class Played:
    """What runs, what was asked of whom, and how far each is from direct calls."""

    def __init__(self, make_cell):
        self.up, self.asked, self.refused, self.differences = [], [], {}, {}
        self._make_cell = make_cell

    @contextlib.contextmanager
    def server(self, name):
        if name in self.refused:
            raise CannotMeasure(self.refused[name])
        self.up.append(name)
        try:
            yield Server(name, "v", "h:1", "h:2", os.getpid())
        finally:
            self.up.remove(name)

    @contextlib.contextmanager
    def stack(self, *_):
        with self.server("direct") as direct, self.server("gateway") as gateway:
            yield direct, gateway

    async def measure_form(self, servers, form, size, **_):
        names = [server.name for server in servers]
        assert set(names) <= set(self.up)
        self.asked.append((tuple(names), form.name, size.name))
        cells = [self._make_cell(name, form=form.name, size=size.name) for name in names]
        return Found(cells, {name: self.differences.get(name, 0.0) for name in names})


@pytest.fixture
def played(monkeypatch, make_cell):
    play = Played(make_cell)

    async def nothing(*_):
        return []

    for name, stand_in in {
        "make_store": lambda *_: None,
        "our_stack": play.stack,
        "environment": lambda *_: None,
        "envoy_proxy": lambda *_: play.server("Envoy"),
        "peer_server": lambda one, *_: play.server(one.name),
        "measure_form": play.measure_form,
        "tool_times": lambda *_: [],
        "anatomy": nothing,
    }.items():
        monkeypatch.setattr(module, name, stand_in)
    return play


@pytest.fixture
def run(tmp_path):
    return Run(QUICK, [peer("One"), peer("Two")], tmp_path, lambda _: None)


def problems(result):
    return {server.name: server.problem for server in result.servers}


def test_the_ways_are_measured_together_and_each_peer_beside_direct_calls(run, played):
    asyncio.run(run.measure(None))
    assert list(dict.fromkeys(names for names, _, _ in played.asked)) == [
        ("direct", "gateway", "Envoy"),
        ("direct", "One"),
        ("direct", "Two"),
    ]
    assert [(form, size) for names, form, size in played.asked if "Envoy" in names] == [
        (form, size) for size in ("3 KB", "600 KB") for form in ("HTTP", "gRPC", "JSON")
    ]
    assert problems(run.result) == dict.fromkeys(("direct", "gateway", "Envoy", "One", "Two"), "")
    assert run.result.left_out == ()
    assert played.up == []


def test_one_that_does_not_start_is_named_with_the_reason_and_the_rest_goes_on(run, played):
    played.refused = {"Envoy": "cannot be installed: no network", "One": "has ended with exit code 1"}
    asyncio.run(run.measure(None))
    assert ("direct", "gateway") in {names for names, _, _ in played.asked}
    assert ("direct", "Two") in {names for names, _, _ in played.asked}
    assert problems(run.result)["Envoy"] == "cannot be installed: no network"
    assert run.result.left_out == ("Envoy cannot be installed: no network", "One has ended with exit code 1")


def test_other_answers_than_those_of_direct_calls_are_a_problem(run, played):
    played.differences = {"One": 2 * TOLERANCE, "Two": TOLERANCE / 2}
    asyncio.run(run.measure(None))
    assert "differ from those of direct calls by 2e-05" in problems(run.result)["One"]
    assert problems(run.result)["Two"] == ""


def test_without_our_own_servers_there_is_nothing_to_measure(run, played):
    played.refused = {"gateway": "has ended"}
    with pytest.raises(CannotMeasure):
        asyncio.run(run.measure(None))
    assert played.up == []


def test_once_time_is_up_nothing_is_begun_and_what_is_missing_is_said(run, played, monkeypatch):
    began = time.monotonic()
    monkeypatch.setattr(module.time, "monotonic", lambda: began + QUICK.minutes * 60 + 1)
    asyncio.run(run.measure(None))
    assert played.asked == []
    assert any(line.startswith("One: its part") for line in run.result.left_out)
    assert len(run.result.left_out) == 6 + 2


def test_a_slow_server_takes_no_time_from_the_others(run, played, monkeypatch):
    clock = [time.monotonic()]
    monkeypatch.setattr(module.time, "monotonic", lambda: clock[0])

    async def slow(servers, form, size, **options):
        if "One" in {server.name for server in servers}:
            clock[0] += QUICK.minutes * 60 * 0.6  # more than its half of the time
        return await played.measure_form(servers, form, size, **options)

    monkeypatch.setattr(module, "measure_form", slow)
    asyncio.run(run.measure(None))
    assert ("direct", "Two") in {names for names, _, _ in played.asked}


def test_an_interruption_ends_all_servers_and_keeps_what_is_there(run, played, monkeypatch):
    async def interrupted(servers, form, size, **options):
        if "One" in {server.name for server in servers}:
            raise Interrupted
        return await played.measure_form(servers, form, size, **options)

    monkeypatch.setattr(module, "measure_form", interrupted)
    with pytest.raises(Interrupted):
        asyncio.run(run.measure(None))
    assert played.up == []
    assert {cell.server for cell in run.result.cells} == {"direct", "gateway", "Envoy"}
