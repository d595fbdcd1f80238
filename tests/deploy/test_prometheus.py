"""The whole of the monitoring on a real Prometheus: a gateway before a model server under load, and all that is asked.

The gateway has two workers, admission, versions by weight and a shadow, so that what is asked about them has an answer.
The servers that are not here (TorchServe, TensorFlow Serving, Triton) are stood in for by pages that they, or their
documentation, have shown.
"""

import contextlib
import json
import re
import threading
import urllib.error
import urllib.request
from pathlib import Path

import pytest
import yaml
from support.background import in_background
from support.gateway_process import gateway_process
from support.gateways import ENGINE, settings
from support.kubernetes import ADAPTER_VALUES
from support.prometheus import exposed_pages, running_prometheus
from support.promql import REPOSITORY, recorded, rules
from support.scaled_store import save_scaled
from support.stack import wait_until
from support.tiny_store import make_store

pytestmark = pytest.mark.needs_promtool

DASHBOARDS = [
    json.loads(path.read_text()) for path in sorted((REPOSITORY / "deploy/grafana/dashboards").glob("*.json"))
]
TARGETS = {
    f"{dashboard['title']}: {panel['title']} {target['refId']}": (panel, target)
    for dashboard in DASHBOARDS
    for row in dashboard["panels"]
    for panel in (row, *row.get("panels", ()))  # those of closed rows too
    for target in panel.get("targets", ())
}
QUERIES = [pytest.param(target["expr"], panel["title"], id=name) for name, (panel, target) in TARGETS.items()]
LEGENDS = [
    pytest.param(target["expr"], target["legendFormat"], id=name)
    for name, (panel, target) in TARGETS.items()
    if panel["type"] == "timeseries"
]
# Nothing was kept or changed, no queue was full, no process crowded; the tiny models keep no answers to compare with.
QUIET = {
    "Changes",
    "Checks",
    "Kept answers, share of their memory",
    "Largest difference from the source's answer",
    "Limit of those that turn away",
    "Requests without a call of their own",
    "Turned away for want of room",
}
UNHEARD = {"gateway:failures:rate1m", "gateway:budget_failures:rate1m"}  # there is no failure among the requests
BOTH_VERSIONS = ["double/1", "double/2"]  # which give the same answers
TRAFFIC = {
    "workers": 2,
    "admission": {"clients": {"named": {"greedy": {"rate": 0.01, "burst": 1}}}},
    "routing": {
        "double": {
            "versions": {1: 3, 2: 1},
            "rules": [{"when": {"headers": {"x-ring": "beta"}}, "then": {"version": 2}}],
        }
    },
    "shadow": {"double/1": {"share": 1, "version": 2}},
}


def _post(address, path, body, **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(f"http://{address}{path}", json.dumps(body).encode(), named)
    with contextlib.suppress(urllib.error.HTTPError):
        urllib.request.urlopen(request, timeout=10).close()


def _keep_asking(address, stop):
    tensor = {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1.0, 2.0]}
    while not stop.is_set():
        _post(address, "/v2/models/double/infer", {"inputs": [tensor]})
        _post(address, "/v1/models/double:predict", {"instances": [[1.0, 2.0]]})
        _post(address, "/v2/models/double/infer", {"inputs": [tensor | {"shape": [1, 3]}]})
        _post(address, "/v2/models/nope/infer", {"inputs": [tensor]})
        _post(address, "/v2/models/double/infer", {"inputs": [tensor]}, x_ring="beta")
        _post(address, "/v2/models/double/infer", {"inputs": [tensor]}, x_gateway_client="greedy")


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("prometheus")
    store = save_scaled(make_store(folder / "store"), 2, name="double", version="2")
    stop = threading.Event()
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(in_background(settings(store, {"onnxruntime": ENGINE}, models=BOTH_VERSIONS)))
        remote = {"kind": "oip", "url": f"http://localhost:{server['http'].rpartition(':')[2]}"}  # a name, so replicas
        configuration = settings(store, {"onnxruntime": remote}, models=BOTH_VERSIONS, **TRAFFIC)
        gateway = stack.enter_context(gateway_process(folder, configuration))
        pages = stack.enter_context(exposed_pages(Path(__file__).parent / "pages"))
        targets = {
            "gateway": (gateway["metrics"], "/metrics"),
            "onnxruntime": (server["metrics"], "/metrics"),
            "torchserve": (pages, "/torchserve"),
            "tensorflow": (pages, "/tensorflow"),
            "further": (pages, "/triton"),
        }
        started = stack.enter_context(running_prometheus(folder, targets))
        asking = threading.Thread(target=_keep_asking, args=(gateway["http"], stop))
        asking.start()
        try:
            expected = recorded() - UNHEARD
            wait_until(
                lambda: expected <= {sample["__name__"] for sample, _ in started.query('{__name__=~".+:.+"}')}, 30
            )
        finally:
            stop.set()
            asking.join()
        yield started  # rates are over a minute: what was asked is seen for longer than the tests take


def test_every_target_is_up(prometheus):
    jobs = {"gateway", "onnxruntime", "torchserve", "tensorflow", "triton"}
    wait_until(lambda: {sample["job"] for sample, _ in prometheus.query("up == 1")} == jobs, 10)


def test_every_rule_evaluates(prometheus):
    groups = prometheus.ask("rules")["groups"]
    found = {rule["name"]: rule for group in groups for rule in group["rules"]}
    assert set(found) == recorded() | {rule["alert"] for rule in rules("alerts.yml")}
    assert {name: rule["lastError"] for name, rule in found.items() if rule["health"] != "ok"} == {}


def test_nothing_alarms_while_all_is_well(prometheus):
    assert prometheus.query('ALERTS{alertstate="firing"}') == []


def _answer(prometheus, expression):
    """What a panel gets that shows all models, backends and protocols."""
    everything = re.sub(r"\$(protocol|model|backend)\b", ".*", expression)
    return prometheus.query(everything.replace("$__rate_interval", "1m"))


@pytest.mark.parametrize(("expression", "title"), QUERIES)
def test_every_query_of_a_dashboard_gives_data(prometheus, expression, title):
    found = _answer(prometheus, expression)
    assert bool(found) != (title in QUIET)
    assert all(value == value for _, value in found) or "quantile" in expression  # of nothing, a quantile is NaN


@pytest.mark.parametrize(("expression", "legend"), LEGENDS)
def test_no_two_series_of_a_panel_have_the_same_name(prometheus, expression, legend):
    names = [_filled(legend, labels) for labels, _ in _answer(prometheus, expression)]
    assert len(set(names)) == len(names)


def _filled(legend, labels):
    return re.sub(r"{{(\w+)}}", lambda label: labels.get(label[1], ""), legend)


def test_annotations_and_variables_evaluate(prometheus):
    for dashboard in DASHBOARDS:
        for annotation in dashboard["annotations"]["list"]:
            if "expr" in annotation:
                prometheus.query(annotation["expr"])
        for variable in dashboard["templating"]["list"]:
            if variable["type"] == "query":
                series, label = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"]["query"]).groups()
                assert prometheus.query(f'count by ({label}) ({series[:-1]}, {label}!=""}})'), variable["name"]


@pytest.mark.parametrize(
    ("name", "backends"),
    [
        ("backend:requests:rate1m", {"onnxruntime", "torchserve", "tensorflow", "triton"}),
        ("backend:latency_seconds:mean", {"onnxruntime", "torchserve", "tensorflow", "triton"}),
        ("backend:latency_seconds:p99", {"onnxruntime", "tensorflow"}),
        ("backend:compute_seconds:mean", {"torchserve", "tensorflow", "triton"}),
        ("backend:queue_seconds:mean", {"onnxruntime", "torchserve", "tensorflow", "triton"}),
        ("backend:queue_depth:sum", {"onnxruntime", "triton"}),
    ],
)
def test_servers_stand_side_by_side_under_the_names_of_the_gateways_backends(prometheus, name, backends):
    # A rate needs two scrapes of each server, and they are not scraped at once.
    wait_until(lambda: {sample["backend"] for sample, _ in prometheus.query(name)} == backends, 10)


def test_models_have_one_name_whatever_the_server_calls_the_label(prometheus):
    found = {
        sample["backend"]: sample["model"] for sample, _ in prometheus.query('backend:requests:rate1m{model!="_OTHER"}')
    }
    assert found == {"onnxruntime": "double", "torchserve": "tiny", "tensorflow": "tiny", "triton": "tiny"}


def test_what_the_servers_pages_say_comes_out_in_seconds(prometheus):
    means = {
        sample["backend"]: value for sample, value in prometheus.query("backend:latency_seconds:mean{model='tiny'}")
    }
    assert means == pytest.approx({"torchserve": 22673.911e-6 / 3, "tensorflow": 180e-6, "triton": 300e-6}, rel=1e-3)


def test_the_gateway_and_the_server_behind_it_count_the_same(prometheus):
    def counts():
        ((_, sent),) = prometheus.query('sum(gateway_attempt_duration_seconds_count{job="gateway"})')
        ((_, got),) = prometheus.query('sum(gateway_request_duration_seconds_count{job="onnxruntime"})')
        return sent, got

    wait_until(lambda: counts()[0] == counts()[1] > 10, 5)


def test_the_autoscalers_get_what_they_ask_for(prometheus):
    (rule,) = yaml.safe_load(ADAPTER_VALUES.read_text())["rules"]["external"]
    query = rule["metricsQuery"].replace("<<.LabelMatchers>>", 'job="gateway", backend="onnxruntime"')
    query = query.replace("<<.GroupBy>>", "job")
    wait_until(lambda: prometheus.query(query), 10)  # it looks at each fifth second
    ((labels, demand),) = prometheus.query(query)
    assert labels == {"job": "gateway"}
    assert demand >= 0
