"""The section ``balancing``: what is refused, and with which key."""

import re

import pytest
from pydantic import ValidationError

from gateway.config.settings import GatewayConfig
from gateway.core.circuit import BreakerPolicy

BACKENDS = {"b": {"kind": "oip", "url": "http://127.0.0.1:9"}}


def configured(balancing):
    return GatewayConfig.model_validate({"backends": BACKENDS, "balancing": balancing}).balancing


def test_the_defaults_are_those_of_the_core():
    assert BreakerPolicy(**configured({}).breaker.model_dump()) == BreakerPolicy()


def test_all_of_it_can_be_set():
    breaker = {"failures": 3, "success_rate": 0.5, "window": 10, "min_requests": 20, "backoff": [2, 30]}
    found = configured({"policy": "least_loaded", "slow_start": 0, "breaker": breaker})
    assert (found.policy, found.slow_start) == ("least_loaded", 0)
    assert BreakerPolicy(**found.breaker.model_dump()) == BreakerPolicy(3, 0.5, 10, 20, (2, 30))


@pytest.mark.parametrize(
    ("section", "key", "reason"),
    [
        ({"policy": "random"}, "balancing.policy", "'peak_ewma' or 'least_loaded'"),
        ({"slow_start": -1}, "balancing.slow_start", "greater than or equal to 0"),
        ({"slow_start": float("inf")}, "balancing.slow_start", "finite"),
        ({"breaker": {"failures": 0}}, "balancing.breaker.failures", "greater than 0"),
        ({"breaker": {"success_rate": 1.1}}, "balancing.breaker.success_rate", "less than or equal to 1"),
        ({"breaker": {"success_rate": float("nan")}}, "balancing.breaker.success_rate", "less than or equal to 1"),
        ({"breaker": {"window": 0}}, "balancing.breaker.window", "greater than 0"),
        ({"breaker": {"min_requests": 1.5}}, "balancing.breaker.min_requests", "integer"),
        ({"breaker": {"backoff": [0, 60]}}, "balancing.breaker.backoff.0", "greater than 0"),
        ({"breaker": {"backoff": [60, 1]}}, "balancing.breaker.backoff", "longer than the longest, 1 s"),
        ({"breaker": {"backoff": [1]}}, "balancing.breaker.backoff.1", "required"),
        ({"breaker": {"retries": 3}}, "balancing.breaker.retries", "not permitted"),
    ],
)
def test_bad_values_are_refused_with_their_key(section, key, reason):
    with pytest.raises(ValidationError, match=re.escape(reason)) as caught:
        configured(section)
    (error,) = caught.value.errors()
    assert ".".join(map(str, error["loc"])) == key
