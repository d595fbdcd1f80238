import pytest
import uvloop
from pydantic import ValidationError

from gateway.app import _build_backend
from gateway.config.settings import GatewayConfig

GRPC, URL = "127.0.0.1:8500", "http://127.0.0.1:8501"
CONTROL = {"base_paths": {"m": "/models/m"}}


def configured(**settings):
    return GatewayConfig.model_validate({"backends": {"tf": {"kind": "tfserving", **settings}}})


@pytest.mark.parametrize(
    ("settings", "transport"),
    [
        ({"grpc": GRPC}, "TFServingOverGRPC"),
        ({"grpc": GRPC, "model_control": CONTROL}, "TFServingOverGRPC"),
        ({"protocol": "rest", "url": URL}, "TFServingOverREST"),
        ({"protocol": "rest", "url": URL, "grpc": GRPC, "model_control": CONTROL}, "TFServingOverREST"),
    ],
)
def test_the_protocol_chooses_the_transport(settings, transport):
    whole = configured(**settings)

    async def built():
        backend = _build_backend("tf", whole.backends["tf"], whole)
        await backend.close()
        return backend

    backend = uvloop.run(built())
    assert type(backend._transport).__name__ == transport
    assert (backend._control is not None) == ("model_control" in settings)


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({}, "grpc is needed"),
        ({"url": URL}, "grpc is needed"),
        ({"protocol": "rest", "grpc": GRPC}, "url is needed with protocol rest"),
        ({"protocol": "rest", "url": URL, "model_control": CONTROL}, "grpc is needed"),
        ({"protocol": "rest", "launch": {}}, "grpc is needed"),
        ({"grpc": GRPC, "model_control": {}}, "base_paths"),
        ({"grpc": "h"}, "must be an address"),
    ],
)
def test_an_address_that_is_missing_is_named(settings, problem):
    with pytest.raises(ValidationError, match=problem):
        configured(**settings)
