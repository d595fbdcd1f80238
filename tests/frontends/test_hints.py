import pytest

from gateway.core.errors import InvalidRequest
from gateway.frontends.hints import parse_timeout


@pytest.mark.parametrize(("value", "seconds"), [("1", 0.001), ("250", 0.25), ("0.5", 0.0005), ("86400000", 86_400)])
def test_a_timeout_is_in_milliseconds(value, seconds):
    assert parse_timeout(value) == seconds


@pytest.mark.parametrize("value", ["", "0", "-0.0", "-1", "nan", "inf", "-inf", "1e300", "86400001", "9" * 400, "1s"])
def test_a_timeout_that_can_never_be_meant_is_refused(value):
    with pytest.raises(
        InvalidRequest, match="x-gateway-timeout-ms: a positive number of milliseconds, at most 86400000"
    ):
        parse_timeout(value)
