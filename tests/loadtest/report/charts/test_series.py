from __future__ import annotations

import msgspec
from support.load_reports import make_digest, make_report

from loadtest.load.loads import ClosedLoop
from loadtest.report.charts.series import COLOURS, Series, legend, looks

TARGET = make_report(loads=()).targets[0]


def test_few_targets_have_a_colour_each_and_direct_calls_are_dashed() -> None:
    found = looks(make_report(loads=()).targets)
    assert list(found.values()) == ["c0 gateway", "c1 direct", "c2 gateway"]


def test_direct_calls_alone_are_not_dashed() -> None:
    assert list(looks(make_report(loads=()).targets[1:2]).values()) == ["c0"]


def test_many_targets_have_their_backends_colour_and_grpc_a_tint() -> None:
    targets = [
        msgspec.structs.replace(TARGET, name=f"{backend} {via} {protocol}", backend=backend, via=via, protocol=protocol)
        for backend in ("a", "b", "c")
        for via in ("gateway", "direct")
        for protocol in ("HTTP", "gRPC")
    ]
    assert len(targets) > COLOURS
    found = looks(targets)
    assert found["b direct gRPC"] == "c1 direct grpc"
    assert len(set(found.values())) == len(targets)


def test_legend_names_what_has_times() -> None:
    report = make_report(loads=(ClosedLoop(concurrency=1),))
    rows = make_digest(report).loads[0].rows
    assert legend([Series("a<b", "c0", rows[0])]).count("a&lt;b") == 1
    empty = make_digest(report, requests=0).loads[0].rows[0]
    assert "<li>" not in legend([Series("x", "c0", empty)])
