"""Settings of OIP servers, and of versions and their labels."""

import pytest
from pydantic import ValidationError

from gateway.config.settings import GatewayConfig


def config(backend=None, **settings):
    backends = {"o": {"kind": "oip", "url": "http://127.0.0.1:1", **(backend or {})}}
    return GatewayConfig.model_validate({"backends": backends, **settings})


def test_http_is_spoken_unless_grpc_is_asked_for():
    assert config().backends["o"].protocol == "http"
    only_grpc = config({"url": None, "protocol": "grpc", "grpc": "127.0.0.1:2"}).backends["o"]
    assert (only_grpc.protocol, only_grpc.url) == ("grpc", None)
    assert config({"protocol": "grpc", "launch": {}}).backends["o"].grpc is None  # a launched one gets an address


@pytest.mark.parametrize(
    ("backend", "problem"),
    [
        ({"url": None}, "url is needed"),
        ({"url": None, "protocol": "grpc", "grpc": "127.0.0.1:2", "launch": {}}, "url is needed"),
        ({"protocol": "grpc"}, "grpc is needed with protocol grpc"),
        ({"protocol": "soap"}, "'http' or 'grpc'"),
        ({"binary": "perhaps"}, "boolean"),
    ],
)
def test_an_address_that_is_missing_is_named(backend, problem):
    with pytest.raises(ValidationError, match=problem):
        config(backend)


def test_versions_may_be_written_as_numbers():
    assert config(labels={"m": {"stable": 2, "new": "10"}}).labels == {"m": {"stable": "2", "new": "10"}}
    with pytest.raises(ValidationError, match=r"labels\.m\.stable"):
        config(labels={"m": {"stable": True}})
