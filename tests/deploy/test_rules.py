"""Prometheus' configuration, rules and alerts: what promtool says, and what holds between the files."""

import re
import subprocess

import pytest
import yaml
from support.promql import REPOSITORY, RULES, exposed, names_in, recorded, rules

from gateway.core.errors import Conflict, Denied, GatewayError, InvalidRequest, NotFound, RateLimited, Unsupported

PROMETHEUS = REPOSITORY / "deploy" / "prometheus"
CONFIGURATIONS = ("prometheus.yml", "prometheus.airgap.yml", "prometheus.static.yml")
TESTS = sorted((PROMETHEUS / "tests").glob("*.test.yml"))
ALERTS = rules("alerts.yml")


def promtool(*arguments):
    done = subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def configuration(name):
    return yaml.safe_load((PROMETHEUS / name).read_text())


def jobs(name):
    return {job["job_name"]: job for job in configuration(name)["scrape_configs"]}


def unit_tests():
    return [test for file in TESTS for test in yaml.safe_load(file.read_text())["tests"]]


@pytest.mark.needs_promtool
@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_configurations_are_valid(name):
    said = promtool("check", "config", str(PROMETHEUS / name))
    assert said.count("rules found") == 2


@pytest.mark.needs_promtool
def test_rules_are_valid_and_none_stands_twice():
    promtool("check", "rules", "--lint=all", "--lint-fatal", *map(str, sorted(RULES.iterdir())))


@pytest.mark.needs_promtool
@pytest.mark.parametrize("file", TESTS, ids=lambda file: file.name)
def test_rules_do_what_they_say(file):
    promtool("test", "rules", str(file))


def test_the_air_gapped_configuration_differs_in_the_job_of_the_stand_in_alone():
    usual, air_gapped = jobs("prometheus.yml"), jobs("prometheus.airgap.yml")
    assert usual.pop("tensorflow")["metrics_path"] == "/monitoring/prometheus/metrics"
    (discovery,) = air_gapped.pop("tensorflow")["dns_sd_configs"]
    assert (discovery["names"], discovery["port"]) == (["tensorflow"], 8502)
    assert usual == air_gapped
    assert configuration("prometheus.yml")["global"] == configuration("prometheus.airgap.yml")["global"]


def test_the_static_configuration_differs_in_how_targets_are_found_alone():
    def without_targets(name):
        whole = configuration(name)
        for job in whole["scrape_configs"]:
            job.pop("dns_sd_configs", None)
            job.pop("static_configs", None)
        return whole

    assert without_targets("prometheus.yml") == without_targets("prometheus.static.yml")
    ports = {
        name: job["dns_sd_configs"][0]["port"]
        for name, job in jobs("prometheus.yml").items()
        if "dns_sd_configs" in job
    }
    for name, port in ports.items():
        assert jobs("prometheus.static.yml")[name]["static_configs"] == [{"targets": [f"127.0.0.1:{port}"]}]


@pytest.mark.parametrize("alert", [rule["alert"] for rule in ALERTS])
def test_every_alert_is_tested_where_it_fires_and_where_it_does_not(alert):
    expected = [
        case["exp_alerts"]
        for test in unit_tests()
        for case in test.get("alert_rule_test", ())
        if case["alertname"] == alert
    ]
    assert any(expected)
    assert not all(expected)


def test_every_recorded_name_is_tested():
    tested = {
        name for test in unit_tests() for case in test.get("promql_expr_test", ()) for name in names_in(case["expr"])
    }
    assert recorded() <= tested


@pytest.mark.parametrize("alert", ALERTS, ids=lambda rule: rule["alert"])
def test_every_alert_has_a_runbook(alert):
    page, _, anchor = alert["annotations"]["runbook"].partition("#")
    headings = re.findall(r"^#+ (.+)$", (REPOSITORY / page).read_text(), re.MULTILINE)
    assert alert["alert"] in headings  # GitHub's anchor of a heading of one word is the word in lower case
    assert anchor == alert["alert"].lower()
    assert alert["annotations"]["summary"]
    assert alert["labels"]["severity"] in ("critical", "warning")


@pytest.mark.parametrize("file", ["recording.yml", "alerts.yml"])
def test_every_metric_in_a_rule_exists(file):
    for rule in rules(file):
        unknown = names_in(rule["expr"]) - exposed() - recorded()
        assert not unknown, f"{rule.get('record') or rule.get('alert')}: nothing exposes {unknown}"


def test_the_names_in_an_expression_are_found():
    expression = """
        sum by (group) (rate(first_total{label="no{name", other=~"x|y"}[5m])) # comment
        / on (key) group_left () (:second:third > 0.5e3) unless fourth offset 1h
    """
    assert names_in(expression) == {"first_total", ":second:third", "fourth"}


@pytest.mark.parametrize("name", ["gateway:failures:rate1m", "version:failures:rate10m"])
def test_failures_are_all_outcomes_but_those_that_are_the_clients_doing(name):
    (rule,) = (rule for rule in rules("recording.yml") if rule["record"] == name)
    left_out = set(re.search(r'outcome!~"([^"]+)"', rule["expr"])[1].split("|"))
    clients = (InvalidRequest, NotFound, Denied, RateLimited, Conflict, Unsupported)
    assert left_out == {"ok", "cancelled"} | {error.reason for kind in clients for error in _tree(kind)}
    assert left_out < {"ok", "cancelled"} | {error.reason for error in _tree(GatewayError)}


def _tree(kind):
    yield kind
    for child in kind.__subclasses__():
        yield from _tree(child)
