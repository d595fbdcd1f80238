"""The OpenAPI description is complete, and a real gateway keeps to it whatever it is sent."""

import json
from pathlib import Path

import pytest
import requests
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from support.background import in_background
from support.gateways import ENGINE, settings
from support.openapi import cases, check, operations
from support.tiny_store import make_store

from gateway.frontends.http import DOORS
from gateway.openapi import document

FILE = Path(__file__).parent.parent.parent / "docs" / "openapi.json"
OPERATIONS = operations()
EXAMPLES = 12


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    store = make_store(tmp_path_factory.mktemp("store"))
    with in_background(settings(store, {"engine": ENGINE}, limits={"body_bytes": 1_000_000})) as addresses:
        yield addresses["http"]


@pytest.fixture(scope="module")
def session():
    with requests.Session() as session:
        yield session


def test_the_description_has_every_operation_of_every_door_and_no_other():
    described = {(method.upper(), path) for path, methods in document()["paths"].items() for method in methods}
    assert described == {operation.key for door in DOORS.values() for operation in door.operations}


def test_every_body_that_is_described_belongs_to_an_operation():
    import re

    import yaml

    from gateway import openapi

    common = yaml.safe_load(Path(openapi.__file__).with_suffix(".yaml").read_text())
    keys = {
        f"{operation.method} {openapi._CHOICE.sub('', operation.path)}"
        for door in DOORS.values()
        for operation in door.operations
    }
    assert common["bodies"].keys() | common["queries"].keys() <= keys
    used = set(re.findall(r"#/components/schemas/(\w+)", json.dumps(document())))
    assert used <= common["schemas"].keys()
    # Two doors' error bodies are named by the code; all else is found from a reference.
    assert common["schemas"].keys() <= used | {"Error", "TorchServeError"}


def test_the_file_in_the_documentation_is_this_description():
    assert json.loads(FILE.read_text()) == document(), "run: make docs"


@pytest.mark.parametrize("operation", OPERATIONS, ids=[operation.label for operation in OPERATIONS])
def test_every_operation_answers_as_described(address, session, operation):
    @hypothesis_settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(case=cases(operation))
    def ask(case):
        check(case, address, session)

    ask()
    assert requests.get(f"http://{address}/v2/health/live", timeout=10).json() == {"live": True}
