"""`gateway stored` and `gateway verify`, and the calls that a deployment makes to the admin port, on real gateways."""

import asyncio
import json

import pytest
import yaml
from support.gateways import ENGINE, running, settings
from support.looped import looped
from support.scaled_store import add_sample, save_scaled
from typer.testing import CliRunner

from gateway.cli import app
from gateway.runtime.docker import ask


@pytest.fixture
def store(tmp_path):
    """Version 1 multiplies by 2, and version 2 by 7 where its source did by 3."""
    root = tmp_path / "models"
    for version, factor, answer in (("1", 2, 2), ("2", 7, 3)):
        add_sample(save_scaled(root, factor, version=version), answer, version=version)
    return root


async def gateway(*words):
    return await asyncio.to_thread(CliRunner().invoke, app, words)


def configuration(tmp_path, store, url):
    path = tmp_path / "stack.yaml"
    backends = {"onnxruntime": {"kind": "oip", "url": url}}
    path.write_text(yaml.safe_dump({"model_store": str(store), "backends": backends}))
    return str(path)


@looped
async def test_the_store_is_told_with_what_each_version_was_built_for(tmp_path, store):
    done = await gateway("stored", "--config", configuration(tmp_path, store, "http://127.0.0.1:9"))
    assert json.loads(done.stdout) == {"scaled": {"1": ["onnx"], "2": ["onnx"]}}


@pytest.mark.parametrize(
    ("models", "code", "said"),
    [
        (["scaled/1"], 0, "onnxruntime answers as it should: 1 samples of 1 models and versions"),
        (["scaled/1", "scaled/2"], 1, "scaled/2, sample ones-and-twos: scaled: source and the server differ by 8"),
        (["scaled/3"], 1, "model 'scaled' has no version '3'"),
    ],
)
@looped
async def test_a_server_is_held_against_the_samples_of_the_store(tmp_path, store, models, code, said):
    serving = settings(store, {"engine": ENGINE}, models=["scaled/1", "scaled/2"])
    async with running(serving) as (_, addresses):
        config = configuration(tmp_path, store, f"http://{addresses['http']}")
        done = await gateway("verify", "onnxruntime", *models, "--config", config)
    assert done.exit_code == code
    assert said in " ".join((done.stdout + done.stderr).split())


@looped
async def test_one_replica_is_asked_by_its_address(tmp_path, store):
    async with running(settings(store, {"engine": ENGINE}, models=["scaled/1"])) as (_, addresses):
        host, _, port = addresses["http"].rpartition(":")
        config = configuration(tmp_path, store, f"http://a-name-of-many:{port}")
        done = await gateway("verify", "onnxruntime", "scaled/1", "--host", host, "--config", config)
    assert done.exit_code == 0, done.stderr


@looped
async def test_what_is_no_server_cannot_be_verified(tmp_path, store):
    done = await gateway("verify", "tf", "--config", configuration(tmp_path, store, "http://127.0.0.1:9"))
    assert done.exit_code == 2
    assert "no backend that is a server is called 'tf'; there are onnxruntime" in done.stderr


@pytest.fixture
def resolved(tmp_path, monkeypatch):
    """Writes the file that tells a gateway's container where its admin port is."""

    def write(admin):
        path = tmp_path / "gateway.yaml"
        path.write_text(yaml.safe_dump({"admin": admin}))
        monkeypatch.setattr(ask, "_RESOLVED", path)

    return write


def run_ask(monkeypatch, capsys, *words):
    """What the module printed, and what it exited with (None: well)."""
    monkeypatch.setattr("sys.argv", ["ask", *words])
    try:
        ask.main()
    except SystemExit as exit_:
        return capsys.readouterr().out, exit_.code
    return capsys.readouterr().out, None


@looped
async def test_the_admin_port_is_asked(store, resolved, monkeypatch, capsys):
    async with running(settings(store, {"engine": ENGINE}, models=["scaled/1"])) as (_, addresses):
        host, _, port = addresses["admin"].rpartition(":")
        resolved({"host": host, "port": int(port)})
        said, code = await asyncio.to_thread(run_ask, monkeypatch, capsys, "GET", "/backends")
        assert code is None
        assert [*json.loads(said.splitlines()[-1])["engine"]["models"]["scaled"]["versions"]] == ["1"]
        refused = await asyncio.to_thread(
            run_ask, monkeypatch, capsys, "POST", "/v2/repository/models/nobody/load", "5"
        )
        assert refused[1].startswith("HTTP 404 ")
    nobody = run_ask(monkeypatch, capsys, "GET", "/backends", "5")
    assert nobody[1].startswith("no answer from its admin port")


def test_without_an_admin_port_nothing_can_be_deployed(resolved, monkeypatch, capsys):
    resolved(None)
    _, said = run_ask(monkeypatch, capsys, "GET", "/backends")
    assert said == "admin: switched off in the gateway's configuration, and a deployment needs it"
