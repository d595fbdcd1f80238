import re

import msgspec
import numpy as np
import pytest
from support.load_reports import make_block, make_report, make_row

from loadtest.load.loads import ClosedLoop, Poisson
from loadtest.measure.summary import Gate
from loadtest.measure.verdict import Verdict, verdict
from loadtest.results.report import TargetResult
from loadtest.statistics.blocks import LEAST_BLOCKS

CLOSED, OPEN = ClosedLoop(concurrency=4), Poisson(rate=100.0)
REPORT = make_report(loads=(CLOSED, OPEN))
MACHINE = np.random.default_rng(7).lognormal(0, 0.3, 40)  # how slow the machine is in each round


def target(name, mean_ms, *, load=CLOSED, rounds=10, requests=400, seed=1, drift=MACHINE, rounds_from=0):
    """Times are exponential, and so many times as long in a round as the machine is slow then."""
    random = np.random.default_rng((seed, len(name), *name.encode()))
    blocks = tuple(
        make_block(load, random.exponential(mean_ms * drift[number], requests), repetition=number)
        for number in range(rounds_from, rounds_from + rounds)
    )
    return TargetResult(name=name, backend=name, server="", via="direct", protocol="HTTP", wire="oip", blocks=blocks)


def rows(*targets, load=CLOSED, **fields):
    return [make_row(REPORT, one, load, **fields) for one in targets]


def of(metric, found):
    return next(one for one in found.metrics if one.metric == metric)


def test_a_difference_is_found_though_the_machine_drifts_more_than_that():
    found = verdict(rows(target("slow", 13.0), target("fast", 10.0)))
    median = of("p50", found)
    (comparison,) = median.comparisons
    assert (median.best, comparison.target, comparison.blocks, comparison.detected) == ("fast", "slow", 10, True)
    assert comparison.ratio.interval.holds(1.3)
    assert re.fullmatch(
        r"Median response time: fast is best, 1\.[23]\d? times \(1\.\d+–1\.\d+\) as fast as slow", median.sentence
    )


def test_there_is_none_between_equals():
    found = verdict(rows(target("one", 10.0), target("two", 10.0)))
    median = of("p50", found)
    assert not median.comparisons[0].detected
    assert re.fullmatch(
        r"Median response time: no difference detected between \w+ and \w+ \(ratio [\d.]+, 0\.\d+–1\.\d+\)",
        median.sentence,
    )


def test_the_rate_of_false_alarms_over_all_pairs_stays_low():
    alarms = 0
    for seed in range(40):
        equals = rows(*(target(name, 10.0, seed=seed, requests=60) for name in "abcd"))
        alarms += any(one.detected for one in of("p50", verdict(equals)).comparisons)
    # 5 % are meant; 8 of 40 or more would come in one of a thousand runs.
    assert alarms < 8


def test_intervals_are_wider_for_more_pairs():
    two = of("p50", verdict(rows(target("a", 10.0), target("b", 12.0)))).comparisons
    names = ("a", 10.0), ("b", 12.0), ("c", 20.0), ("d", 30.0)
    four = of("p50", verdict(rows(*(target(*one) for one in names))))
    assert [one.target for one in four.comparisons] == ["b", "c", "d"]
    alone, among = two[0].ratio, four.comparisons[0].ratio
    assert among.value == alone.value
    assert among.interval.low < alone.interval.low
    assert among.interval.high > alone.interval.high


def test_some_are_beaten_and_some_are_not():
    sentence = of("p50", verdict(rows(target("a", 10.0), target("b", 10.0), target("c", 20.0)))).sentence
    assert re.fullmatch(
        r"Median response time: [ab] is best, [\d.]+ times \(.*\) as fast as c; no difference detected between .*",
        sentence,
    )


def test_the_sentence_tells_the_nearest_and_sums_up_the_others():
    names = ("a", 10.0), ("b", 20.0), ("c", 30.0), ("d", 40.0), ("e", 60.0), ("f", 80.0)
    sentence = of("p50", verdict(rows(*(target(*one) for one in names)))).sentence
    assert re.fullmatch(
        r"Median response time: a is best, \S+ times \(\S+\) as fast as b, \S+ times \(\S+\) as fast as c, "
        r"\S+ times \(\S+\) as fast as d and (\S+) to (\S+) times as good as the other 2",
        sentence,
    )


def test_several_equals_are_one_sentence():
    sentence = of("p50", verdict(rows(*(target(name, 10.0) for name in "abc")))).sentence
    assert re.fullmatch(
        r"Median response time: no difference detected between [abc] and [abc] \(ratio \S+ \S+\) and [abc] \(.*\)",
        sentence,
    )


def test_the_method_is_said():
    three = verdict(rows(target("a", 10.0), target("b", 12.0), target("c", 20.0)))
    assert "95% for all 3 pairs of targets together (Bonferroni)" in three.method
    assert "Bonferroni" not in verdict(rows(target("a", 10.0), target("b", 12.0))).method


def test_throughput_is_compared_in_closed_loops_only():
    # make_block spreads the requests over its window, whatever they take: the rates are 500/s and 400/s.
    both = target("more", 10.0, requests=500), target("less", 10.0, requests=400)
    throughput = of("throughput", verdict(rows(*both)))
    assert throughput.best == "more"
    assert throughput.comparisons[0].ratio.value == pytest.approx(1.25, rel=0.02)
    assert "as much as less" in throughput.sentence
    opened = (target("more", 10.0, load=OPEN, requests=500), target("less", 10.0, load=OPEN))
    assert [one.metric for one in verdict(rows(*opened, load=OPEN)).metrics] == ["p50", "p99"]


def test_a_percentile_without_enough_times_is_not_compared():
    few = verdict(rows(target("a", 10.0, requests=30), target("b", 20.0, requests=30)))
    assert "p99" not in [one.metric for one in few.metrics]


def test_too_few_paired_blocks_prove_nothing():
    found = verdict(rows(target("a", 10.0, rounds=LEAST_BLOCKS - 1), target("b", 50.0)))
    (comparison,) = of("p50", found).comparisons
    assert (comparison.ratio, comparison.detected) == (None, False)
    assert of("p50", found).sentence == ("Median response time: too few paired blocks or times to tell a from b")
    assert comparison.sentence == "5 paired blocks are too few to tell it from b (6 are needed)"
    assert not found.method


def test_only_blocks_of_the_same_round_are_paired():
    found = verdict(rows(target("a", 10.0, rounds=10), target("b", 50.0, rounds=10, rounds_from=4)))
    assert of("p50", found).comparisons[0].blocks == 6


def test_invalid_and_failed_targets_take_no_part():
    lagging = rows(target("late", 1.0), gates=(Gate("send lag", False, "sent 9 ms late"),))
    down = rows(target("down", 1.0), problem="Connection refused")
    silent = rows(target("silent", 1.0, rounds=0))
    found = verdict([*rows(target("a", 10.0), target("b", 20.0)), *lagging, *down, *silent])
    assert found.left_out == {
        "late": "INVALID: sent 9 ms late",
        "down": "Connection refused",
        "silent": "no good answers",
    }
    assert of("p50", found).best == "a"
    assert found.sentences[-1] == "Not compared: late, down and silent"


@pytest.mark.parametrize("some", [[], rows(target("a", 10.0))])
def test_nothing_to_compare(some):
    found = verdict(some)
    assert (found.metrics, found.sentences, found.method) == ((), (), "")


def test_it_is_written_and_read_as_json():
    found = verdict(rows(target("a", 10.0), target("b", 20.0)))
    assert msgspec.json.decode(msgspec.json.encode(found), type=Verdict) == found
