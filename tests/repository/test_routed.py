"""What `check-config` and a start say of routing that names what is not served."""

import pytest
import yaml
from support.gateways import ENGINE, settings
from support.scaled_store import save_scaled
from typer.testing import CliRunner

from gateway.app import App
from gateway.cli import app
from gateway.config.file import ConfigError
from gateway.repository.routed import check_routing
from gateway.repository.stored import ServedVersions
from model_store.store import ModelStore

RULE = {"when": {"headers": {"x-a": "1"}}, "then": {"version": 7}}
CASES = [
    ({"versions": {1: 95, 3: 5}}, "routing.scaled.versions.3: version '3' is not served; models serves: 1, 2"),
    ({"rules": [RULE]}, "routing.scaled.rules.0.then.version: version '7' is not served; models serves: 1, 2"),
]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    root = tmp_path_factory.mktemp("store")
    return save_scaled(save_scaled(root, 2), 3, version="2")


def document(store, section, labels):
    return {
        "model_store": str(store),
        "models": ["scaled", "scaled/1"],
        "backends": {"inside": ENGINE},
        "labels": {"other": {"new": 9}, "scaled": labels},
        "routing": {"scaled": section, "elsewhere": {"versions": {12: 1}}},
    }


@pytest.mark.parametrize(("section", "problem"), CASES)
def test_a_version_that_is_not_there_is_refused_with_its_key(tmp_path, store, section, problem):
    file = tmp_path / "gateway.yaml"
    file.write_text(yaml.safe_dump(document(store, section, {})))
    done = CliRunner().invoke(app, ["check-config", "--config", str(file)])
    assert done.exit_code == 2
    assert problem in " ".join(done.stderr.split())


def test_a_start_refuses_it_too(store):
    _, problem = CASES[0]
    with pytest.raises(ConfigError) as caught:
        App(settings(store, {"inside": ENGINE}, models=["scaled", "scaled/1"], routing={"scaled": CASES[0][0]}))
    assert str(caught.value) == problem


def test_a_backend_that_was_left_out_later_is_refused_too(store):
    """As by ``gateway up --backends``."""
    section = {"policy": "fixed", "order": ["inside", "other"]}
    whole = settings(store, {"inside": ENGINE, "other": ENGINE}, routing={"scaled": section})
    part = whole.model_copy(update={"backends": {"inside": whole.backends["inside"]}})
    with pytest.raises(
        ConfigError, match=r"routing\.scaled\.order\.1: no backend is called 'other'; there are: inside"
    ):
        check_routing(part, ServedVersions(part, ModelStore(store)))


def test_what_is_there_is_fine_and_so_is_a_model_that_is_not_in_the_store(tmp_path, store):
    file = tmp_path / "gateway.yaml"
    section = {"versions": {1: 95, "canary": 5}, "rules": [{**RULE, "then": {"version": 1}}]}
    file.write_text(yaml.safe_dump(document(store, section, {"canary": 2})))
    assert CliRunner().invoke(app, ["check-config", "--config", str(file)]).exit_code == 0
