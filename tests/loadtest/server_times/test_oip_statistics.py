import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.statistics import ModelStatistics
from gateway.frontends.oip.model import _model_statistics
from loadtest.server_times.oip_statistics import parse


def document(*counts):
    """What Triton answers, for versions with so many inferences."""
    return json.dumps(
        {
            "model_stats": [
                {
                    "name": "m",
                    "version": str(number),
                    "last_inference": 1,
                    "inference_count": count,
                    "inference_stats": {
                        "success": {"count": count, "ns": 100_000_000 * count},
                        "fail": {"count": 3, "ns": 7},
                        "queue": {"count": count, "ns": 10_000_000 * count},
                        "compute_input": {"count": count, "ns": 1_000_000 * count},
                        "compute_infer": {"count": count, "ns": 20_000_000 * count},
                        "compute_output": {"count": count, "ns": 2_000_000 * count},
                        "cache_hit": {"count": 0, "ns": 0},
                    },
                    "batch_stats": [],
                    "memory_usage": [],
                }
                for number, count in enumerate(counts)
            ]
        }
    ).encode()


def test_versions_and_models_are_added_up():
    snapshot = parse([document(1, 2), document(4)])
    assert (snapshot.source, snapshot.requests) == ("OIP statistics", 7)
    assert snapshot.seconds == pytest.approx(
        {"queue": 0.07, "compute_input": 0.007, "compute_infer": 0.14, "compute_output": 0.014}
    )


def test_the_gateways_own_document():
    statistics = ModelStatistics()
    statistics.record_success(1, 0.001, 0.002, 0.004, 0.01)

    class Served:
        name, version = "m", "1"

    served = Served()
    served.statistics = statistics
    snapshot = parse([json.dumps({"model_stats": [_model_statistics(served)]}).encode()])
    assert snapshot.requests == 1
    assert snapshot.seconds["queue"] == pytest.approx(0.002)
    assert snapshot.seconds["compute_infer"] == pytest.approx(0.004)


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"model_stats": [{"name": "m"}]}', b"\xff", b'{"error": "no"}'])
def test_other_answers_are_none(body):
    assert parse([document(1), body]) is None


@given(st.binary(max_size=40))
def test_nothing_raises(body):
    parse([body])
