"""The real stack, measured for a moment."""

import asyncio
from dataclasses import replace

import pytest

from benchmarks.anatomy import anatomy
from benchmarks.matrix import BINARY, GRPC, QUICK, SMALL
from benchmarks.measure import measure_form
from benchmarks.store import make_store
from benchmarks.ways import our_stack
from gateway.runtime.procfs import start_time
from loadtest.clock import NS

pytestmark = pytest.mark.integration

SHORT = replace(QUICK, connections=(2,), window=0.05, blocks=2)


def test_our_servers_are_started_measured_taken_apart_and_stopped(digits_store, tmp_path, monkeypatch):
    monkeypatch.setattr("loadtest.measure.subject._LONGEST_WARM_UP", NS // 2)
    monkeypatch.setattr("benchmarks.anatomy._WARM_UP", 0.2)
    store = make_store(digits_store, tmp_path / "models")

    async def measured():
        with our_stack(store, tmp_path / "stack") as servers:
            found = [
                await measure_form(servers, form, SMALL, store=store, effort=SHORT, progress=lambda _: None)
                for form in (BINARY, GRPC)
            ]
            return servers, found, await anatomy(servers[0], store, tmp_path / "stack", 0.5)

    servers, found, parts = asyncio.run(measured())
    assert [start_time(server.pid) for server in servers] == [None, None]
    for form in found:
        assert form.differences == {"direct": 0.0, "gateway": 0.0}
        assert [(cell.server, cell.problem, cell.errors) for cell in form.cells] == [
            ("direct", "", 0),
            ("gateway", "", 0),
        ]
        for cell in form.cells:
            assert 0 < cell.p50.value <= cell.p99.value
            assert 0 < cell.cpu < 0.1
            assert 2**24 < cell.resident <= 2**33
    assert {part.form for part in parts} == {"HTTP", "gRPC"}
    assert 0 < sum(part.cpu for part in parts) < 0.2
    assert any(part.part.startswith("gateway.") for part in parts)
