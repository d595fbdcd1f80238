from __future__ import annotations

from typing import Any

import msgspec
import pytest
from support.load_reports import make_digest, make_report, make_search, with_invalid, with_target

from loadtest.load.loads import ClosedLoop, Poisson
from loadtest.report.digest import Digest
from loadtest.report.summary_json import summary_document

LOADS = (ClosedLoop(concurrency=1), Poisson(rate=300.0))


def document(digest: Digest) -> Any:
    return msgspec.json.decode(msgspec.json.encode(summary_document(digest)))


def test_everything_in_seconds_with_intervals() -> None:
    digest = make_digest(make_report(loads=LOADS))
    found = document(digest)
    row = digest.loads[0].rows[0]
    target = found["loads"][0]["targets"][0]
    assert found["loads"][0]["spec"] == "closed:1"
    assert found["loads"][1]["load"] == {"load": "poisson", "mlperf": "", "rate": 300.0}
    assert target["name"] == "onnxruntime gateway HTTP"
    assert target["requests"] == 6200
    median = target["response"]["percentiles"]["p50"]
    assert median["value"] == pytest.approx(row.response_times[3099])
    assert median["interval"][0] < median["value"] < median["interval"][1]
    assert median["method"] == "order statistics"
    assert median["enough"] is True
    assert target["response"]["percentiles"]["p99.9"]["enough"] is False
    assert set(target["service"]["percentiles"]) == {"p50", "p90", "p95", "p99", "p99.9"}
    assert target["send_lag"]["p99"] == pytest.approx(10e-6)
    assert target["server_times"][0]["source"] == "Server-Timing"
    assert target["offered"] is None
    assert found["loads"][1]["targets"][0]["offered"] == pytest.approx(300)
    assert found["loads"][0]["sentences"] == list(digest.loads[0].verdict.sentences)
    assert found["seeds"] == {"arrivals": 11, "samples": 22, "payloads": 33}


def test_validity_and_failures() -> None:
    found = document(with_invalid(make_digest(make_report(loads=LOADS))))
    assert found["valid"] is False
    first, _, third = found["loads"][0]["targets"]
    assert first["valid"] is False
    assert first["gates"][0] == {
        "name": "send lag",
        "passed": False,
        "reason": "sent 4.2 ms late at p99; the limit is 1 ms",
    }
    assert third["errors"] == {"HTTP 503": 14}
    assert third["details"] == {"HTTP 503": "no healthy <backend> is left"}
    assert document(make_digest(make_report(loads=LOADS)))["valid"] is True


def test_nothing_measured() -> None:
    report = with_target(make_report(loads=LOADS[:1]), 0, blocks=(), problem="down")
    target = document(make_digest(report))["loads"][0]["targets"][0]
    assert target["problem"] == "down"
    assert target["throughput"] is None
    assert target["response"] == {"mean": None, "percentiles": {}}


def test_search_is_in_it() -> None:
    found = document(make_digest(make_report(loads=LOADS[:1], search=make_search())))
    assert (found["search"]["low"], found["search"]["high"]) == (325.0, 350.0)
    assert len(found["search"]["trials"]) == 8
