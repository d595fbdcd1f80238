"""What is sent to a second backend, by the configuration, and what of that goes on when it changes."""

import pytest
from support.played_backends import PlayedBackends
from support.services import request
from support.virtual_time import run_virtual

from gateway.config.retries import HedgingConfig, RetriesConfig
from gateway.config.settings import GatewayConfig
from gateway.core.backend import Endpoint
from gateway.core.catalog import ServedModel
from gateway.core.signatures import Signature
from gateway.retries import second_chances, with_second_backend
from gateway.telemetry.metrics import GatewayMetrics

BACKENDS = {
    "a": {"kind": "torchserve", "url": "http://127.0.0.1:1"},
    "b": {"kind": "oip", "url": "http://127.0.0.1:2"},
    "c": {"kind": "oip", "url": "http://127.0.0.1:3"},
}


def asked_when_slow(slow, hedging):
    """The backends that get a request for which ``slow`` takes an hour, and the others no time."""
    settings = GatewayConfig.model_validate({"backends": BACKENDS, "hedging": hedging})
    model = ServedModel("m", "1", "", Signature((), ()), 0, (), tuple(Endpoint(name, "m") for name in BACKENDS))
    played = PlayedBackends(**{name: [] for name in BACKENDS} | {slow: [0.0] * 112 + [3600.0]})
    played.down = [name for name in BACKENDS if name < slow]
    chances = second_chances(None, settings.retries, settings.hedging)
    metrics = GatewayMetrics(BACKENDS).retries
    service = with_second_backend(
        played, model, chances, settings.backends, settings.retries, settings.hedging, metrics
    )

    async def scenario():
        for _ in range(112):
            await service(request())
        played.asked.clear()
        await service(request())

    run_virtual(scenario())
    return played.asked


@pytest.mark.parametrize(
    ("slow", "hedging", "asked"),
    [
        ("b", None, ["b"]),
        ("b", {}, ["b", "c"]),
        ("a", {}, ["a"]),
        ("a", {"torchserve": True}, ["a", "b"]),
    ],
)
def test_torchserve_takes_part_only_if_it_should(slow, hedging, asked):
    assert asked_when_slow(slow, hedging) == asked


@pytest.mark.parametrize(
    ("retries", "hedging", "kept"),
    [
        ({}, {}, ["retries", "hedges", "latency"]),
        ({"attempts": 2}, {"torchserve": True}, ["retries", "hedges", "latency"]),
        ({"budget": 0.1}, {}, ["hedges", "latency"]),
        ({"per_second": 1}, {}, ["hedges", "latency"]),
        ({}, {"budget": 0.1}, ["retries", "latency"]),
        ({}, {"percentile": 0.9}, ["retries", "hedges"]),
        ({}, None, ["retries"]),
    ],
)
def test_what_is_known_goes_on_where_its_settings_do(retries, hedging, kept):
    def parts(chances):
        hedges = chances.hedges
        return {"retries": chances.retries, "hedges": hedges and hedges.budget, "latency": hedges and hedges.latency}

    before = second_chances(None, RetriesConfig(), HedgingConfig())
    after = second_chances(
        before,
        RetriesConfig.model_validate(retries),
        None if hedging is None else HedgingConfig.model_validate(hedging),
    )
    assert [part for part, was in parts(before).items() if parts(after)[part] is was] == kept
    again = second_chances(after, RetriesConfig(), HedgingConfig())
    assert (again.hedges.latency.percentile, again.hedges.budget.share, again.retries.per_second) == (0.95, 0.05, 10)
