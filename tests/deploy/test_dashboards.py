"""Grafana's dashboards: made by their source, whole, and asking for nothing that is not there."""

import json
import re
import subprocess
import sys
from itertools import combinations, pairwise

import pytest
import yaml
from support.promql import REPOSITORY, exposed, names_in, recorded, rules

GRAFANA = REPOSITORY / "deploy" / "grafana"
FILES = sorted((GRAFANA / "dashboards").glob("*.json"))
DASHBOARDS = [json.loads(file.read_text()) for file in FILES]
UNITS = {"s", "percentunit", "reqps", "short", "bytes", "Bps"}
each_dashboard = pytest.mark.parametrize("dashboard", DASHBOARDS, ids=[file.stem for file in FILES])


def panels(dashboard):
    """Those of closed rows too."""
    shown = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
    return shown + [panel for row in dashboard["panels"] if row["type"] == "row" for panel in row["panels"]]


def expressions(dashboard):
    """Every PromQL expression, with the title of what asks."""
    for panel in panels(dashboard):
        for target in panel["targets"]:
            yield panel["title"], target["expr"]
    for annotation in dashboard["annotations"]["list"]:
        if "expr" in annotation:
            yield annotation["name"], annotation["expr"]
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            yield variable["name"], re.fullmatch(r"label_values\((.+), \w+\)", variable["query"]["query"])[1]


def test_the_files_are_what_their_source_makes():
    done = subprocess.run([sys.executable, str(GRAFANA / "source"), "--check"], check=False)
    assert done.returncode == 0, "deploy/grafana/dashboards is out of date: run python deploy/grafana/source"


def test_what_is_off_by_default_is_closed():
    (traffic,) = (dashboard for dashboard in DASHBOARDS if dashboard["title"] == "Traffic")
    closed = {row["title"].partition(":")[0] for row in traffic["panels"] if row.get("collapsed")}
    assert closed == {"Admission", "Versions by weight", "Shadows and comparisons", "Workers"}


@each_dashboard
def test_every_metric_exists(dashboard):
    for title, expression in expressions(dashboard):
        unknown = names_in(expression) - exposed() - recorded()
        assert not unknown, f"{title}: nothing exposes {unknown}"


@each_dashboard
def test_every_variable_that_is_used_is_defined_and_every_one_that_is_defined_is_used(dashboard):
    used = set(re.findall(r"\$\{?(\w+)", json.dumps(dashboard["panels"]))) - {"__rate_interval"}
    assert used == {variable["name"] for variable in dashboard["templating"]["list"]}


@each_dashboard
def test_panels_say_what_they_show(dashboard):
    for panel in panels(dashboard):
        title = panel["title"]
        assert title, panel["id"]
        assert panel["description"].endswith("."), title
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert [target["refId"] for target in panel["targets"]] == ["A", "B", "C"][: len(panel["targets"])]
        if panel["type"] in ("timeseries", "stat"):
            assert panel["fieldConfig"]["defaults"]["unit"] in UNITS, title
        if panel["type"] == "timeseries":
            legends = [target["legendFormat"] for target in panel["targets"]]
            assert all("{{" in legend for legend in legends), f"{title}: a series without a name of its own"
            assert len(set(legends)) == len(legends), title


@each_dashboard
def test_legends_name_labels_that_the_expression_keeps(dashboard):
    for panel in panels(dashboard):
        for target in panel["targets"]:
            kept = re.findall(r"\bby \(([^)]*)\)", target["expr"])
            if not kept:
                continue  # the metric's own labels
            labels = {label.strip() for group in kept for label in group.split(",")}
            assert set(re.findall(r"{{(\w+)}}", target["legendFormat"])) <= labels, panel["title"]


def opened(dashboard, heading):
    """All places of the grid when the closed row ``heading`` is opened: what is below it moves down."""
    height = max((panel["gridPos"]["h"] for panel in heading["panels"]), default=0)
    below = heading["gridPos"]["y"]
    moved = (
        place | {"y": place["y"] + height * (place["y"] > below)}
        for place in (panel["gridPos"] for panel in dashboard["panels"])
    )
    return [*moved, *(panel["gridPos"] for panel in heading["panels"])]


@each_dashboard
def test_panels_fill_the_grid_and_do_not_overlap(dashboard):
    numbers = [panel["id"] for row in dashboard["panels"] for panel in (row, *row.get("panels", ()))]
    assert len(set(numbers)) == len(numbers)
    for heading in dashboard["panels"]:
        if heading["type"] == "row":
            assert heading["collapsed"] == bool(heading["panels"]), heading["title"]
            fill_the_grid(opened(dashboard, heading))


def fill_the_grid(placed):
    for place in placed:
        assert place["x"] + place["w"] <= 24
    for one, other in combinations(placed, 2):
        apart = (
            one["x"] + one["w"] <= other["x"]
            or other["x"] + other["w"] <= one["x"]
            or one["y"] + one["h"] <= other["y"]
            or other["y"] + other["h"] <= one["y"]
        )
        assert apart, (one, other)
    tops = sorted({(place["y"], place["y"] + place["h"]) for place in placed})
    assert all(end == begin for (_, end), (begin, _) in pairwise(tops)), "a gap between rows"
    for top, _ in tops:
        assert sum(place["w"] for place in placed if place["y"] == top) == 24, f"the row at {top} is not full"


@each_dashboard
def test_red_lines_are_those_of_the_alerts(dashboard):
    bounds = (re.match(r"([\w:]+)(?:{[^}]*})? > ([\d.]+)$", rule["expr"], re.MULTILINE) for rule in rules("alerts.yml"))
    limits = dict(bound.groups() for bound in bounds if bound)
    for panel in panels(dashboard):
        if "thresholdsStyle" in panel["fieldConfig"]["defaults"].get("custom", {}):
            (metric,) = names_in(panel["targets"][0]["expr"])
            assert panel["fieldConfig"]["defaults"]["thresholds"]["steps"][1]["value"] == float(limits[metric])


def test_addresses_and_titles_are_unique():
    assert len({dashboard["uid"] for dashboard in DASHBOARDS}) == len(DASHBOARDS)
    assert len({dashboard["title"] for dashboard in DASHBOARDS}) == len(DASHBOARDS)


@each_dashboard
def test_load_tests_are_marked(dashboard):
    (marks,) = (one for one in dashboard["annotations"]["list"] if one["name"] == "Load tests")
    assert marks["target"]["tags"] == ["loadtest"]
    assert marks["enable"]


def test_provisioning_finds_the_files_and_the_data_source():
    (provider,) = yaml.safe_load((GRAFANA / "provisioning/dashboards/files.yml").read_text())["providers"]
    assert provider["options"]["path"] == "/etc/grafana/dashboards"
    (source,) = yaml.safe_load((GRAFANA / "provisioning/datasources/prometheus.yml").read_text())["datasources"]
    assert (source["type"], source["url"], source["isDefault"]) == ("prometheus", "http://prometheus:9090", True)
    interval = yaml.safe_load((REPOSITORY / "deploy/prometheus/prometheus.yml").read_text())["global"][
        "scrape_interval"
    ]
    assert source["jsonData"]["timeInterval"] == interval
