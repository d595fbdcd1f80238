"""The few kinds of panels that the dashboards are made of, as Grafana's JSON model has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}

# Grafana's names of units.
SECONDS, SHARE, PER_SECOND, COUNT, BYTES, BYTES_PER_SECOND = "s", "percentunit", "reqps", "short", "bytes", "Bps"
GREEN, AMBER, RED = "green", "orange", "red"


@dataclass(frozen=True)
class Query:
    """One expression; ``legend`` names its series, with labels as ``{{model}}``.

    ``exemplars`` shows single requests as dots, by the trace ids that a histogram's buckets hold.
    """

    expr: str
    legend: str
    exemplars: bool = False


@dataclass(frozen=True)
class State:
    """What a value stands for."""

    text: str
    color: str


def graph(title: str, text: str, unit: str, *queries: Query, stacked: bool = False, limit: float | None = None) -> Json:
    """Lines over time, zero at the bottom; ``limit`` draws a red line where an alert stands."""
    custom: Json = {"fillOpacity": 30 if stacked else 8, "showPoints": "never"}
    defaults: Json = {"unit": unit, "min": 0, "custom": custom}
    if stacked:
        custom["stacking"] = {"mode": "normal"}
    if limit is not None:
        custom["thresholdsStyle"] = {"mode": "line"}
        defaults["thresholds"] = _thresholds({limit: RED})
    legend = {"displayMode": "table", "placement": "bottom", "calcs": ["mean", "max"], "showLegend": True}
    options = {"legend": legend, "tooltip": {"mode": "multi", "sort": "desc"}}
    return _panel("timeseries", title, text, queries, defaults, options)


def number(title: str, text: str, unit: str, query: Query, colors: Mapping[float, str] | None = None) -> Json:
    """The latest value, large; ``colors`` by the value from which each holds."""
    defaults: Json = {"unit": unit, "thresholds": _thresholds(colors or {}), "noValue": "–"}
    options = {"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "value", "graphMode": "area"}
    return _panel("stat", title, text, (query,), defaults, options)


def states(title: str, text: str, query: Query, meaning: Mapping[int, State]) -> Json:
    """A band over time for each series, in the color of its state."""
    values = {str(value): {"text": state.text, "color": state.color} for value, state in meaning.items()}
    defaults: Json = {"mappings": [{"type": "value", "options": values}], "custom": {"fillOpacity": 70}}
    options = {"mergeValues": True, "showValue": "never", "legend": {"displayMode": "list", "showLegend": True}}
    return _panel("state-timeline", title, text, (query,), defaults, options)


def heatmap(title: str, text: str, unit: str, histogram: str) -> Json:
    """How the observations of a classic histogram lie over time; ``histogram`` is the increase of its buckets by le."""
    panel = _panel("heatmap", title, text, (Query(histogram, "{{le}}"),), {}, {})
    panel["targets"][0]["format"] = "heatmap"
    panel["options"] = {"calculate": False, "yAxis": {"unit": unit}, "color": {"scheme": "Blues"}, "cellGap": 0}
    return panel


def _panel(
    kind: str, title: str, text: str, queries: Sequence[Query], defaults: Json, options: Mapping[str, Any]
) -> Json:
    targets = [
        {
            "refId": chr(ord("A") + index),
            "datasource": DATASOURCE,
            "expr": query.expr,
            "legendFormat": query.legend,
            "exemplar": query.exemplars,
        }
        for index, query in enumerate(queries)
    ]
    return {
        "type": kind,
        "title": title,
        "description": text,
        "datasource": DATASOURCE,
        "targets": targets,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": options,
    }


def _thresholds(colors: Mapping[float, str]) -> Json:
    steps: list[Json] = [{"value": None, "color": GREEN}]
    return {"mode": "absolute", "steps": steps + [{"value": value, "color": color} for value, color in colors.items()]}
