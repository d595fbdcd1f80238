"""The section ``tracing``."""

import pytest

from gateway.config.file import ConfigError, load_config


def load(**variables):
    return load_config(None, environ={f"GATEWAY_TRACING__{name}": value for name, value in variables.items()}).tracing


def test_it_is_off_by_default_and_needs_no_more_than_an_endpoint():
    assert load() is None
    tracing = load(ENDPOINT="http://collector:4318/")
    assert (tracing.endpoint, tracing.sample, tracing.service) == ("http://collector:4318", 0.01, "gateway")


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"SAMPLE": "1"}, r"tracing\.endpoint: Field required"),
        ({"ENDPOINT": "collector:4317"}, r"tracing\.endpoint: must be a URL"),
        ({"ENDPOINT": "http://c", "SAMPLE": "1.5"}, r"TRACING__SAMPLE: tracing\.sample: .* 1 \(got 1\.5\)"),
        ({"ENDPOINT": "http://c", "SERVICE": "''"}, r"tracing\.service: .*at least 1 character"),
        ({"ENDPOINT": "http://c", "RATE": "1"}, r"tracing\.rate: unknown key"),
    ],
)
def test_what_is_wrong_is_named(variables, message):
    with pytest.raises(ConfigError, match=message):
        load(**variables)
