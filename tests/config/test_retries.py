import pytest

from gateway.config.file import ConfigError, load_config

MINIMAL = "backends: {o: {kind: oip, url: 'http://127.0.0.1:9000'}}\n"


@pytest.fixture
def load(tmp_path):
    def load(text):
        (tmp_path / "gateway.yaml").write_text(text + "\n" + MINIMAL)
        return load_config(tmp_path / "gateway.yaml", {})

    return load


def test_retries_are_on_and_hedging_is_off(load):
    settings = load("")
    assert (settings.retries.attempts, settings.retries.budget, settings.retries.per_second) == (3, 0.2, 10)
    assert settings.hedging is None
    hedging = load("hedging: {}").hedging
    assert (hedging.percentile, hedging.budget, hedging.torchserve) == (0.95, 0.05, False)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("retries: {attempts: 0}", "retries.attempts"),
        ("retries: {budget: -0.1}", "retries.budget"),
        ("retries: {budget: .nan}", "retries.budget"),
        ("retries: {per_second: .inf}", "retries.per_second"),
        ("hedging: {percentile: 1}", "hedging.percentile"),
        ("hedging: {percentile: 95}", "hedging.percentile"),
        ("hedging: {budget: 1.5}", "hedging.budget"),
        ("hedging: {kinds: [oip]}", "hedging.kinds"),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_key(load, text, key):
    with pytest.raises(ConfigError, match=key):
        load(text)
