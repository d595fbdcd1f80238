from types import SimpleNamespace

import pytest

from gateway.admission import client_rates, gate_of, with_rate_limits
from gateway.config.admission import AdmissionConfig
from gateway.config.file import ConfigError, load_config
from gateway.telemetry.metrics import GatewayMetrics

MODEL = SimpleNamespace(name="m", gate=None)
BACKENDS = "backends: {b: {kind: oip, url: 'http://127.0.0.1:9'}}\n"


def load(tmp_path, text):
    path = tmp_path / "gateway.yaml"
    path.write_text(BACKENDS + text, encoding="utf-8")
    return load_config(path, {}).admission


def test_it_is_off_unless_there_is_a_section(tmp_path):
    assert load(tmp_path, "") is None
    settings = load(tmp_path, "admission: {}")
    assert (settings.limit.min, settings.limit.max, settings.queue_size, settings.wait) == (4, 1000, 1000, 0.1)
    assert settings.clients.header == "x-gateway-client"


def test_without_it_nothing_stands_in_the_path():
    metrics = GatewayMetrics([])
    assert with_rate_limits("service", client_rates(None)) == "service"
    assert with_rate_limits("service", client_rates(AdmissionConfig())) == "service"
    assert gate_of(MODEL, (), None, metrics.admission) is None


def test_a_gate_stays_when_settings_change():
    metrics = GatewayMetrics([])
    gate = gate_of(MODEL, (), AdmissionConfig(), metrics.admission)
    changed = AdmissionConfig.model_validate({"limit": {"min": 7, "max": 7}})
    assert gate_of(SimpleNamespace(name="m", gate=gate), (), changed, metrics.admission) is gate
    assert gate.limit == 7
    assert metrics.registry.get_sample_value("gateway_admission_limit", {"model": "m"}) == 7


@pytest.mark.parametrize(
    ("changed", "left"),
    [
        ({"rate": 1, "burst": 2}, 0),
        ({"rate": 1, "burst": 2, "named": {"b": {"rate": 9}}}, 0),
        ({"rate": 1, "burst": 2, "named": {"a": {"weight": 9, "rate": 1, "burst": 2}}}, 0),
        ({"rate": 1, "burst": 3}, 3),
        ({"rate": 1, "burst": 2, "header": "x-user"}, 2),  # who is called "a" there is somebody else
    ],
)
def test_clients_have_what_they_had_left_where_their_rate_is_the_same(changed, left):
    def rates(clients, before=None):
        return client_rates(AdmissionConfig.model_validate({"clients": clients}), before)

    before = rates({"rate": 1, "burst": 2})
    assert [before.limits.take("a", 0.0) for _ in range(2)] == [0, 0]
    after = rates(changed, before)
    assert sum(after.limits.take("a", 0.0) == 0 for _ in range(10)) == left


def test_a_header_is_asked_for_as_it_comes(tmp_path):
    assert load(tmp_path, "admission: {clients: {header: X-API-Key}}").clients.header == "x-api-key"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{limit: {min: 10, max: 5}}", r"admission.limit: min 10 is over max 5"),
        ("{limit: {min: 0}}", r"admission.limit.min: .* \(got 0\)"),
        ("{limit: {max: 1000000000}}", r"admission.limit.max: "),
        ("{queue_size: -1}", r"admission.queue_size: "),
        ("{wait: 0}", r"admission.wait: "),
        ("{wait: .inf}", r"admission.wait: "),
        ("{wait: .nan}", r"admission.wait: "),
        ("{sheddable: 1.5}", r"admission.sheddable: "),
        ("{clients: {rate: 0}}", r"admission.clients.rate: "),
        ("{clients: {rate: .inf}}", r"admission.clients.rate: "),
        ("{clients: {burst: 0}}", r"admission.clients.burst: "),
        ("{clients: {tracked: 0}}", r"admission.clients.tracked: "),
        ("{clients: {header: 'a b'}}", r"admission.clients.header: must be the name of a header .*\(got 'a b'\)"),
        ("{clients: {header: key-bin}}", r"admission.clients.header: "),
        ("{clients: {named: {a: {weight: 0}}}}", r"admission.clients.named.a.weight: "),
        ("{clients: {named: {a: {rates: 1}}}}", r"admission.clients.named.a.rates: unknown key"),
        ("{limits: 3}", r"admission.limits: unknown key"),
    ],
)
def test_what_makes_no_sense_is_refused_by_its_key(tmp_path, text, message):
    with pytest.raises(ConfigError, match=message):
        load(tmp_path, f"admission: {text}")
