import pytest

from gateway.batching import batch_limits
from gateway.config.file import ConfigError, load_config
from gateway.filters.batch import BatchLimits

FILE = """
backends:
  onnx:
    kind: oip
    url: http://127.0.0.1:9000
    batching: {batching}
"""
TORCHSERVE = """
backends:
  ts:
    kind: torchserve
    url: http://127.0.0.1:8080
    handlers:
      rows: {payload: raw}
      whole: {payload: oip}
  here: {kind: embedded, engine: onnxruntime}
"""


@pytest.fixture
def config(tmp_path):
    def load(text):
        path = tmp_path / "gateway.yaml"
        path.write_text(text)
        return load_config(path, {})

    return load


def test_limits_are_those_of_the_file(config):
    batching = "{max_rows: 8, max_bytes: 1000, queue_size: 5, lanes: {min: 2, max: 3}}"
    limits = BatchLimits(rows=8, nbytes=1000, queue=5, least_lanes=2, most_lanes=3)
    assert batch_limits(config(FILE.replace("{batching}", batching)), "onnx", "m") == limits


def test_it_can_be_switched_off(config):
    assert batch_limits(config(FILE.replace("{batching}", "null")), "onnx", "m") is None


def test_what_shares_no_call_is_not_joined(config):
    settings = config(TORCHSERVE)
    assert batch_limits(settings, "ts", "rows") is None
    assert batch_limits(settings, "here", "any") is None
    assert batch_limits(settings, "ts", "whole") is not None
    assert batch_limits(settings, "ts", "another") is not None  # the handlers of the store take whole batches


@pytest.mark.parametrize(
    ("batching", "message"),
    [
        ("{lanes: {min: 5, max: 4}}", "backends.onnx.batching.lanes: min 5 is over max 4"),
        ("{lanes: {min: 0}}", "backends.onnx.batching.lanes.min: "),
        ("{max_rows: -1}", "backends.onnx.batching.max_rows: "),
        ("{queue_size: 0}", "backends.onnx.batching.queue_size: "),
        ("{max_delay: 5}", "backends.onnx.batching.max_delay: unknown key"),
    ],
)
def test_a_wrong_value_is_refused_with_the_path_of_its_key(config, batching, message):
    with pytest.raises(ConfigError) as error:
        config(FILE.replace("{batching}", batching))
    assert message in str(error.value)
