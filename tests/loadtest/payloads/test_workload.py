from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from support.load_servers import echo_payload

from loadtest.payloads.workload import ORDER_LENGTH, Workload


def workload(*weights: float) -> Workload:
    payload = echo_payload(np.zeros(1, np.float32))
    return Workload(tuple(replace(payload, weight=weight) for weight in weights))


def test_equal_weights_go_round_in_shuffled_turns() -> None:
    order = workload(1, 1, 1).order(4)
    assert len(order) == ORDER_LENGTH
    turns = order[: ORDER_LENGTH // 3 * 3].reshape(-1, 3)
    assert (np.sort(turns, axis=1) == [0, 1, 2]).all()
    assert len({tuple(turn) for turn in turns[:100]}) == 6


def test_other_weights_are_drawn() -> None:
    order = workload(3, 1, 0.5).order(4)
    shares = np.bincount(order) / ORDER_LENGTH
    assert shares == pytest.approx([3 / 4.5, 1 / 4.5, 0.5 / 4.5], abs=0.01)


@pytest.mark.parametrize("weights", [(1, 1, 1), (3, 1, 0.5)])
def test_the_order_is_the_seeds(weights: tuple[float, ...]) -> None:
    one = workload(*weights)
    assert (one.order(4) == one.order(4)).all()
    assert (one.order(4) != one.order(5)).any()


def test_models_once_and_in_order() -> None:
    floats, whole = echo_payload(np.zeros(1, np.float32)), echo_payload(np.zeros(1, np.int64))
    both = Workload((floats, whole, floats))
    assert [model.name for model in both.models] == ["echo-FP32-1", "echo-INT64-1"]
    assert both.name == "echo-FP32-1+echo-INT64-1"
    assert both.requests == (floats.request, whole.request, floats.request)
