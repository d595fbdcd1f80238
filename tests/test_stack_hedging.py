"""Which backends take part in hedging, by the configuration."""

import pytest
from support.played_backends import PlayedBackends
from support.services import request
from support.virtual_time import run_virtual

from gateway.config.settings import GatewayConfig
from gateway.core.backend import Endpoint
from gateway.core.catalog import ServedModel
from gateway.core.signatures import Signature
from gateway.stack import _with_second_backend
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
    service = _with_second_backend(played, model, settings.backends, GatewayMetrics(BACKENDS), settings)

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
