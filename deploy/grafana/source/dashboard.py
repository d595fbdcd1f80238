"""A dashboard: rows of panels side by side, the variables at the top, and what is marked on the time axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

from panels import DATASOURCE, Json

TAG = "serving-gateway"
_WIDTH = 24  # columns of Grafana's grid
_VARIABLES = ("protocol", "model", "backend")


@dataclass(frozen=True)
class Row:
    """A heading and the panels below it, which share the width; ``collapsed`` shows the heading alone until asked."""

    title: str
    panels: Sequence[Json]
    height: int = 9
    collapsed: bool = False


def dashboard(name: str, title: str, text: str, rows: Sequence[Row], *, variables: Sequence[str] = ()) -> Json:
    """The JSON model; ``name`` is its address in Grafana, ``variables`` the labels that it can be limited by."""
    return {
        "uid": f"{TAG}-{name}",
        "title": title,
        "description": text,
        "tags": [TAG],
        "schemaVersion": 39,
        "editable": False,
        "refresh": "10s",
        "time": {"from": "now-30m", "to": "now"},
        "timezone": "browser",
        "graphTooltip": 1,  # one cross-hair through all panels
        "links": [
            {"type": "dashboards", "title": "Serving gateway", "tags": [TAG], "keepTime": True, "asDropdown": True}
        ],
        "templating": {"list": [_datasource(), *(_label(name) for name in _VARIABLES if name in variables)]},
        "annotations": {"list": _annotations()},
        "panels": _laid_out(rows),
    }


def _laid_out(rows: Sequence[Row]) -> list[Json]:
    placed: list[Json] = []
    top = 0
    for row in rows:
        heading: Json = {"type": "row", "title": row.title, "collapsed": row.collapsed, "panels": []}
        heading["gridPos"] = {"x": 0, "y": top, "w": _WIDTH, "h": 1}
        width = _WIDTH // len(row.panels)
        panels = [
            {**panel, "gridPos": {"x": place * width, "y": top + 1, "w": width, "h": row.height}}
            for place, panel in enumerate(row.panels)
        ]
        if row.collapsed:  # its panels are the heading's own, and take no room before they are shown
            heading["panels"] = panels
            placed.append(heading)
        else:
            placed += [heading, *panels]
        top += 1 if row.collapsed else 1 + row.height
    return _numbered(placed)


def _numbered(placed: Sequence[Json]) -> list[Json]:
    numbers = count(1)
    return [
        {"id": next(numbers), **panel}
        | ({"panels": [{"id": next(numbers), **each} for each in panel["panels"]]} if panel["type"] == "row" else {})
        for panel in placed
    ]


def _datasource() -> Json:
    return {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus", "current": {}}


def _label(name: str) -> Json:
    """A choice among the values of the label ``name``; all of them, and no value, unless some are chosen."""
    query = f'label_values(gateway_request_duration_seconds_count{{job="gateway"}}, {name})'
    return {
        "name": name,
        "label": name.capitalize(),
        "type": "query",
        "datasource": DATASOURCE,
        "query": {"query": query, "refId": "values"},
        "refresh": 2,  # with every change of the time range: models come and go
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": ["All"], "value": ["$__all"]},
    }


def _annotations() -> list[Json]:
    own = {"type": "grafana", "uid": "-- Grafana --"}
    return [
        {
            "name": "Load tests",  # what `loadtest … --annotate` has written
            "datasource": own,
            "enable": True,
            "iconColor": "purple",
            "target": {"type": "tags", "tags": ["loadtest"], "limit": 100, "matchAny": False},
        },
        {
            "name": "Alerts",
            "datasource": DATASOURCE,
            "enable": True,
            "iconColor": "red",
            "expr": 'ALERTS{alertstate="firing"}',
            "titleFormat": "{{alertname}}",
            "textFormat": "{{job}} {{backend}} {{model}} {{instance}}",
            "step": "15s",
        },
        {
            "name": "Starts",
            "datasource": DATASOURCE,
            "enable": True,
            "iconColor": "blue",
            "expr": "time() - process_start_time_seconds < 15",
            "titleFormat": "{{job}} started",
            "textFormat": "{{instance}}",
            "step": "15s",
        },
    ]
