"""The table of routes: every framework reaches every server, by steps that exist."""

import ast
import importlib.util
from pathlib import Path

import pytest

from model_store.engines import ENGINES
from model_store.exporters import forms
from model_store.routes import ONNX, ROUTES, TARGETS

FORMS = {value for name, value in vars(forms).items() if name.isupper()}
EVERY_ROUTE = [
    pytest.param(framework, target, route, id=f"{framework} to {target} by {route.name}")
    for framework, targets in ROUTES.items()
    for target, routes in targets.items()
    for route in routes
]


def test_every_framework_reaches_every_server():
    assert {framework: set(targets) for framework, targets in ROUTES.items()} == {
        framework: set(TARGETS) for framework in ("pytorch", "keras", "tensorflow", "scikit-learn", "onnx")
    }
    assert set(TARGETS) == {target for target, *_ in ENGINES.values()}


def test_the_onnx_file_is_made_before_what_starts_from_it():
    assert TARGETS[0] == ONNX
    assert all(route.form for targets in ROUTES.values() for route in targets[ONNX])


@pytest.mark.parametrize(("framework", "target", "route"), EVERY_ROUTE)
def test_a_route_begins_with_a_form_and_runs_programs(framework, target, route):
    assert route.form in FORMS | {""}
    assert route.steps
    for step in route.steps:
        source = Path(importlib.util.find_spec(step.module).origin).read_text()
        assert "main" in [node.name for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)]
    titles = [step.title for step in route.steps]
    assert len({*titles}) == len(titles)  # each keeps a log of its own


@pytest.mark.parametrize(("framework", "target"), [(f, t) for f, targets in ROUTES.items() for t in targets])
def test_the_routes_to_a_server_are_told_apart(framework, target):
    names = [route.name for route in ROUTES[framework][target]]
    assert len({*names}) == len(names)
