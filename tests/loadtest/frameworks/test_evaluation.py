from __future__ import annotations

import pytest
from support.framework_results import FakeRace, batch_result, framework_result

from loadtest.frameworks.contestants import Absent, Broken
from loadtest.frameworks.evaluation import fastest


@pytest.fixture
def race() -> FakeRace:
    return FakeRace()


def test_times_are_in_seconds_and_rates_in_rows(race: FakeRace) -> None:
    race.add("PyTorch", {4: [[1000, 3000], [2000, 2000]]})
    result = race.evaluated(4)["PyTorch"]
    (at,) = result.batches
    assert (at.batch, at.inferences, at.warm_up) == (4, 4, 3)
    assert at.rounds_ns == ((1_000_000, 3_000_000), (2_000_000, 2_000_000))
    assert (at.p50.value, at.p99.value) == pytest.approx((2e-3, 3e-3))
    assert not at.p99.enough
    assert at.rows_per_second.value == pytest.approx(4 / 2e-3)
    assert result.waited == pytest.approx(20_000 / 8_000_000)
    assert (result.cold_start, result.memory_peak, result.largest_difference) == (2.5, 200, 1e-7)


def test_ratios_are_to_the_fastest_at_each_batch_size(race: FakeRace) -> None:
    race.add("PyTorch", {1: [[100], [100]], 8: [[400], [400]]})
    race.add("ONNX Runtime", {1: [[50], [50]], 8: [[800], [800]]})
    found = race.evaluated(1, 8)
    ratios = {name: [at.ratio.value if at.ratio else None for at in one.batches] for name, one in found.items()}
    assert ratios == {"PyTorch": [2.0, None], "ONNX Runtime": [None, 2.0]}


def test_only_rounds_that_both_have_are_compared(race: FakeRace) -> None:
    """A run that was stopped in its third round."""
    race.add("PyTorch", {1: [[100], [100], [900], [900], [900]]})
    race.add("ONNX Runtime", {1: [[50], [50]]})
    at = race.evaluated(1)["PyTorch"].batches[0]
    assert at.ratio is not None
    assert at.ratio.value == 2.0
    assert at.p50.value == pytest.approx(900e-6)


def test_one_that_failed_has_no_times_and_keeps_what_is_known_of_it(race: FakeRace) -> None:
    race.add("PyTorch", {1: [[10], [10]]}, problem="its process ended")
    race.add("ONNX Runtime", {1: [[50], [50]]})
    race.add("Keras", {}, problem="not there", ready=None)
    found = race.evaluated(1)
    assert (found["PyTorch"].batches, found["PyTorch"].waited) == ((), None)
    assert (found["PyTorch"].version, found["PyTorch"].problem) == ("1.2", "its process ended")
    assert (found["Keras"].version, found["Keras"].cold_start) == ("", None)
    assert found["ONNX Runtime"].batches[0].ratio is None


def test_frameworks_come_in_their_usual_order(race: FakeRace) -> None:
    race.add("ONNX Runtime", {1: [[50]]})
    race.add("PyTorch", {1: [[50]]})
    race.out += [Broken("scikit-learn", "broken"), Absent("TensorFlow", "absent")]
    found = race.evaluated(1)
    assert [*found] == ["PyTorch", "TensorFlow", "scikit-learn", "ONNX Runtime"]
    assert (found["TensorFlow"].absent, found["TensorFlow"].problem) == ("absent", "")
    assert (found["scikit-learn"].absent, found["scikit-learn"].problem) == ("", "broken")


def test_the_kernel_does_not_say_how_long_it_waited(race: FakeRace) -> None:
    race.add("Keras", {1: [[50], [50]]})
    assert race.evaluated(1)["Keras"].waited is None


def test_fastest_by_the_median() -> None:
    one = framework_result("PyTorch", batch_result(1, [[1.0, 1.0, 99.0]]))
    other = framework_result("Keras", batch_result(1, [[2.0, 2.0, 2.0]]), batch_result(8, [[2.0]]))
    assert fastest([other, one], 1) is one
    assert fastest([other, one], 8) is other
    assert fastest([other, one], 32) is None
