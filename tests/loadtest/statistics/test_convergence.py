from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.errors import BadSpec
from loadtest.statistics.convergence import Until, converged, next_look, parse_until
from loadtest.statistics.estimate import Estimate, Interval
from loadtest.statistics.series import quantile_estimates


@pytest.mark.parametrize(
    ("spec", "until"),
    [("p99:5%", Until(0.99, 0.05)), ("p99.9:2.5%", Until(0.999, 0.025)), (" p50:10% ", Until(0.5, 0.1))],
)
def test_specs(spec: str, until: Until) -> None:
    parsed = parse_until(spec)
    assert parsed == pytest.approx(until)
    assert parsed.spec == spec.strip()


@given(st.integers(1, 99_999), st.integers(1, 9999))
def test_a_spec_reads_what_it_wrote(share: int, precision: int) -> None:
    until = Until(share / 100_000, precision / 10_000)
    assert parse_until(until.spec) == pytest.approx(until)


@pytest.mark.parametrize(
    "spec",
    ["", "p99", "99:5%", "p99:5", "p0:5%", "p100:5%", "p99:0%", "p99:100%", "p99:-5%", "p9٩:5%", "p99:5%,p50:1%"],
)
def test_what_cannot_be_read_is_quoted(spec: str) -> None:
    with pytest.raises(BadSpec, match="expected a percentile") as caught:
        parse_until(spec)
    assert repr(spec) in str(caught.value)


UNTIL = Until(0.99, 0.05)


def test_narrow_enough() -> None:
    assert converged(Estimate(value=10, interval=Interval(9.6, 10.5)), UNTIL)
    assert not converged(Estimate(value=10, interval=Interval(9.4, 10.5)), UNTIL)


def test_what_is_greyed_out_or_without_interval_is_never_narrow() -> None:
    assert not converged(Estimate(value=10, interval=Interval(10, 10), enough=False), UNTIL)
    assert not converged(Estimate(value=10), UNTIL)
    assert not converged(Estimate(value=0, interval=Interval(0, 0)), UNTIL)


def test_looks_are_spaced_geometrically() -> None:
    looks = [1]
    while looks[-1] < 1000:
        looks.append(next_look(looks[-1]))
    assert looks[:6] == [1, 2, 3, 4, 5, 7]
    assert all(later >= 1.25 * earlier for earlier, later in itertools.pairwise(looks))
    assert len(looks) < 30


@pytest.mark.parametrize(("share", "precision", "first"), [(0.5, 0.1, 50), (0.9, 0.1, 64)])
def test_intervals_still_cover_the_truth_when_their_width_ends_the_run(
    share: float, precision: float, first: int
) -> None:
    random = np.random.default_rng(1)
    until, truth, held = Until(share, precision), -math.log(1 - share), 0
    for _ in range(200):
        times = random.exponential(size=10_000)
        count = first
        while not converged(estimate := quantile_estimates([times[:count]], [share])[share], until):
            count = next_look(count)
        assert count < len(times)
        assert estimate.interval is not None
        held += estimate.interval.holds(truth)
    assert held / 200 >= 0.93
