from gateway.core import statistics
from gateway.core.statistics import BatchStatistics, Duration, ModelStatistics


def test_durations_are_nanoseconds_and_add_up():
    stats = ModelStatistics()
    stats.record_success(3, 0.001, 0.003, 0.002, 0.007)
    stats.record_success(3, 0.001, 0.003, 0.002, 0.007)
    assert (stats.inference_count, stats.execution_count) == (6, 2)
    assert stats.success == Duration(2, 14_000_000)
    assert stats.queue == Duration(2, 6_000_000)
    compute = BatchStatistics(2, 2_000_000, 4_000_000, 2_000_000)
    assert (stats.compute, stats.by_batch) == (compute, {3: compute})


def test_a_failure_counts_as_one():
    stats = ModelStatistics()
    stats.record_failure(0.5)
    assert stats.fail == Duration(1, 500_000_000)
    assert stats.success.count == stats.inference_count == 0


def test_a_model_without_a_batch_has_no_batch_sizes():
    stats = ModelStatistics()
    stats.record_success(None, 0, 0, 0, 1)
    assert (stats.inference_count, stats.by_batch) == (1, {})


def test_clients_cannot_make_it_grow_without_bound(monkeypatch):
    monkeypatch.setattr(statistics, "MAX_BATCH_SIZES", 2)
    stats = ModelStatistics()
    for size in (1, 2, 3, 2):
        stats.record_success(size, 0, 0, 0, 1)
    assert {size: of_size.compute_infer.count for size, of_size in stats.by_batch.items()} == {1: 1, 2: 2}
    assert stats.execution_count == 4


def test_no_duration_is_negative():
    stats = ModelStatistics()
    stats.record_success(1, 2.0, 0.0, 2.0, 1.0)
    assert stats.compute.compute_output == Duration(1, 0)
