"""The limit of a crowd is a series only while there is one."""

import math

from prometheus_client import CollectorRegistry

from gateway.telemetry.crowd_metrics import CrowdMetrics
from gateway.telemetry.page import render
from gateway.workers.merged_metrics import merge

NAME = "gateway_crowd_limit"


def page(limit):
    registry = CollectorRegistry()
    CrowdMetrics(registry).watch(lambda: limit)
    return render(registry, "")[0].decode()


def test_there_is_a_number_only_while_there_is_a_limit():
    registry = CollectorRegistry()
    metrics, limits = CrowdMetrics(registry), [math.inf, 64.0, 112.5, math.inf]
    assert registry.get_sample_value(NAME) is None
    metrics.watch(lambda: limits.pop(0))
    assert [registry.get_sample_value(NAME) for _ in range(4)] == [None, 64, 112.5, None]


def test_the_family_is_on_the_page_without_one_too():
    assert page(math.inf).splitlines()[-1] == f"# TYPE {NAME} gauge"


def test_of_several_workers_those_that_limit_say_so():
    merged = merge("", {0: page(math.inf), 1: page(64.0), 2: page(100.0)}).splitlines()
    assert [line for line in merged if not line.startswith("#")] == [
        f'{NAME}{{worker="1"}} 64.0',
        f'{NAME}{{worker="2"}} 100.0',
    ]
    assert merged.count(f"# TYPE {NAME} gauge") == 1
