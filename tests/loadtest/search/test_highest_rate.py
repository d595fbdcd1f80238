from __future__ import annotations

import asyncio
import math
from typing import ClassVar

import numpy as np
import pytest
from support.queues import Queue

from loadtest.errors import BadSpec
from loadtest.results.search import SearchResult
from loadtest.search.attempt import Attempt, SearchStopped
from loadtest.search.highest_rate import Limits, find_highest_rate
from loadtest.slo import parse_slo

SLO = parse_slo("p99<50ms")
MET = Attempt(valid=True)
MISSED = Attempt(valid=True, violations=("p99<50ms: p99 was 70 ms",))
INVALID = Attempt(valid=False, reason="requests were sent 9 ms late (p99)")


def search(measure, slo=SLO, seed=1, **limits) -> SearchResult:
    return asyncio.run(find_highest_rate(measure, slo, target="a", seed=seed, limits=Limits(**limits)))


class Scripted:
    """``verdict(rate, number of the trial)`` decides; what was asked is kept."""

    def __init__(self, verdict) -> None:
        self._verdict = verdict
        self.asked: list[tuple[float, float, int]] = []

    async def __call__(self, rate, seconds, arrivals_seed) -> Attempt:
        self.asked.append((rate, seconds, arrivals_seed))
        return self._verdict(rate, len(self.asked))


def knee_at(capacity: float) -> Scripted:
    return Scripted(lambda rate, _: MET if rate < capacity else MISSED)


class TestASteadyServer:
    """Five searches of each server, whose true answer is known."""

    SERVERS: ClassVar = {
        "M/M/1 half busy": (1700, 0.5, False),
        "M/M/1 at 0.8": (870, 0.8, False),
        "M/M/1 at 0.9": (2900, 0.9, False),
        "M/D/1 at 0.8": (1130, 0.8, True),
        "M/D/1 at 0.9": (1900, 0.9, True),
    }

    @pytest.fixture(scope="class", params=SERVERS.values(), ids=SERVERS)
    def answers(self, request):
        capacity, load, deterministic = request.param
        rate = capacity * load
        limit = Queue(capacity, SLO, deterministic=deterministic).long_run_percentile(rate, 0.99)
        slo = parse_slo(f"p99<{limit * 1e9:.0f}ns")
        server = Queue(capacity, slo, deterministic=deterministic)
        return rate, [search(server, slo, seed) for seed in range(5)]

    def test_repeats_within_five_percent(self, answers) -> None:
        lows = np.array([answer.low for answer in answers[1]])
        assert np.max(np.abs(lows / np.median(lows) - 1)) <= 0.05

    def test_the_interval_holds_the_truth(self, answers) -> None:
        rate, results = answers
        # Over 20 seeds the interval held it in 75 to 95 % of the searches, and was never further off than 2 %.
        assert sum(result.low <= rate <= result.high for result in results) >= 3
        assert all(0.94 * rate < result.low < 1.02 * rate for result in results)
        assert all(0.98 * rate < result.high < 1.1 * rate for result in results)


def test_without_noise_the_interval_is_as_narrow_as_asked() -> None:
    for capacity in (60, 777, 123_456):
        for precision in (0.2, 0.05, 0.01):
            result = search(knee_at(capacity), precision=precision)
            assert result.low < capacity <= result.high <= result.low * (1 + precision)
            assert result.reason == f"at {result.high:,.4g} requests/s: p99<50ms: p99 was 70 ms"


def test_the_search_goes_down_when_the_start_is_too_high() -> None:
    result = search(knee_at(100), start=3000)
    assert result.low < 100 <= result.high
    assert [trial.stage for trial in result.trials[:6]] == ["double", *["halve"] * 5]


def test_no_trial_shares_its_arrivals_and_the_seed_fixes_all() -> None:
    server = knee_at(777)
    first = search(server)
    assert len({seed for _, _, seed in server.asked}) == len(server.asked)
    assert search(knee_at(777)) == first
    assert search(knee_at(777), seed=2) != first


def test_both_ends_are_validated() -> None:
    result = search(knee_at(777), validations=3)
    for rate in (result.low, result.high):
        assert sum(trial.rate == rate and trial.stage == "validate" for trial in result.trials) == 3


def test_trials_are_kept() -> None:
    server = knee_at(777)
    result = search(server)
    assert (result.target, result.slo) == ("a", "p99<50ms")
    assert [(trial.rate, trial.seconds, trial.arrivals_seed) for trial in result.trials] == server.asked
    assert all(trial.met is (trial.rate < 777) for trial in result.trials)
    assert {trial.reason for trial in result.trials if trial.met} == {""}


def test_the_low_end_steps_down_when_it_does_not_hold() -> None:
    # Between 700 and 800 only the first trial of a rate meets the SLO.
    seen: set[float] = set()

    def verdict(rate: float, _: int) -> Attempt:
        first = rate not in seen
        seen.add(rate)
        return MET if rate < 700 or (rate < 800 and first) else MISSED

    result = search(Scripted(verdict))
    assert result.low < 700 <= result.high
    assert result.low > 650


def test_the_high_end_steps_up_when_it_does_not_hold() -> None:
    # Between 700 and 800 every other trial meets the SLO.
    result = search(Scripted(lambda rate, number: MET if rate < 700 or (rate < 800 and number % 2) else MISSED))
    assert result.low < 700
    assert 800 <= result.high < 850


def test_a_cold_first_trial_does_not_end_the_search() -> None:
    result = search(Scripted(lambda rate, number: MET if rate < 10_000 and number > 1 else MISSED))
    assert result.low < 10_000 <= result.high < result.low * 1.05


def test_contradicted_verdicts_make_trials_longer() -> None:
    steady, unsure = knee_at(777), Scripted(lambda rate, n: MET if rate < 700 or (rate < 850 and n % 2) else MISSED)
    search(steady)
    search(unsure)
    assert unsure.asked[-1][0] * unsure.asked[-1][1] > 1.3 * steady.asked[-1][0] * steady.asked[-1][1]


def test_a_server_that_answers_by_chance_is_called_unsteady() -> None:
    random = np.random.default_rng(5)
    server = Scripted(lambda rate, number: MET if random.random() < 0.5 else MISSED)
    results = [search(server, seed=seed) for seed in range(20)]
    unsteady = [result for result in results if result.reason.startswith("not steady: 13 verdicts were contradicted")]
    assert len(unsteady) >= 15
    for result in results:
        validated = [trial.met for trial in result.trials if trial.rate == result.low and trial.stage == "validate"]
        assert result.low == 0 or all(validated[-4:])
    assert len(server.asked) / 20 < 100


def test_not_even_the_lowest_rate() -> None:
    result = search(knee_at(0))
    assert (result.low, result.high) == (0, pytest.approx(2 * 662 / 60))
    assert result.reason == "at 22.07 requests/s: p99<50ms: p99 was 70 ms"


def test_a_server_that_meets_everything_ends_at_the_ceiling() -> None:
    result = search(knee_at(math.inf), ceiling=7000, ceiling_reason="7,000 requests/s are 70 % of the generator's")
    assert (result.low, result.high) == (7000, None)
    assert result.reason == "7,000 requests/s are 70 % of the generator's"
    assert max(trial.rate for trial in result.trials) == 7000
    assert [trial.stage for trial in result.trials if trial.rate == 7000] == ["double", *["validate"] * 4]


def test_the_ceiling_may_be_below_the_start_and_the_lowest_rate() -> None:
    assert search(knee_at(math.inf), ceiling=10).low == 10


def test_an_slo_that_is_missed_at_the_ceiling_only_sometimes_ends_there() -> None:
    result = search(Scripted(lambda rate, number: MET if rate < 900 or number % 2 else MISSED), ceiling=1000)
    assert result.high is None
    assert result.low < 1000


def test_invalid_runs_bound_the_search_and_are_never_called_not_met() -> None:
    result = search(Scripted(lambda rate, _: MET if rate < 1500 else INVALID))
    assert 1400 < result.low < 1500
    assert result.high is None
    assert "requests/s: requests were sent 9 ms late (p99)" in result.reason
    assert {trial.met for trial in result.trials if trial.rate >= 1500} == {None}


def test_an_invalid_run_is_repeated_once() -> None:
    result = search(Scripted(lambda rate, number: INVALID if number % 2 else MET if rate < 777 else MISSED))
    assert result.low < 777 <= result.high


def test_a_knee_below_the_generators_limit_is_found() -> None:
    result = search(Scripted(lambda rate, _: MET if rate < 777 else MISSED if rate < 790 else INVALID))
    assert result.low < 777
    assert result.high is None or result.high >= 777


def test_nothing_but_invalid_runs() -> None:
    result = search(Scripted(lambda rate, _: INVALID))
    assert (result.low, result.high) == (0, None)
    assert result.reason.endswith("requests were sent 9 ms late (p99)")


def test_invalid_while_the_low_end_is_validated_ends_the_search() -> None:
    result = search(Scripted(lambda rate, number: INVALID if number > 12 else MET if rate < 777 else MISSED))
    assert (result.low, result.high) == (0, None)
    assert "9 ms late" in result.reason
    assert result.reason.endswith("requests/s met the SLO, but not in every validation")


@pytest.mark.parametrize("after", [1, 4, 8, 12, 16])
def test_what_is_known_when_it_is_stopped(after) -> None:
    def verdict(rate: float, number: int) -> Attempt:
        if number > after:
            raise SearchStopped("interrupted")
        return MET if rate < 777 else MISSED

    result = search(Scripted(verdict))
    assert result.reason.startswith("interrupted")
    assert len(result.trials) == after
    assert result.high is None or result.high >= 777
    assert (result.low > 0) == (sum(trial.stage == "validate" and bool(trial.met) for trial in result.trials) >= 4)


def test_an_slo_on_errors_alone() -> None:
    random = np.random.default_rng(3)
    slo = parse_slo("errors<0.1%")

    async def measure(rate: float, seconds: float, _: int) -> Attempt:
        # From 400 requests/s on, every further one fails.
        share = random.binomial(int(rate * seconds), max(1 - 400 / rate, 0)) / int(rate * seconds)
        return Attempt(valid=True, violations=slo.check(lambda metric: share))

    result = search(measure, slo)
    assert result.low <= 400.4 <= result.high < 420


def test_an_slo_on_throughput_is_refused_before_anything_is_measured() -> None:
    server = knee_at(777)
    with pytest.raises(BadSpec, match="SLO 'p99<1s,rate>5': a search finds the throughput itself"):
        search(server, parse_slo("p99<1s,rate>5"))
    assert server.asked == []
