from __future__ import annotations

import shutil
from pathlib import Path

import msgspec

from gateway.config.settings import GatewayConfig
from gateway.runtime.launchers import torchserve
from gateway.runtime.launchers.context import LaunchContext
from gateway.runtime.state import RunDirectory
from model_store.manifest import load_manifest, save_manifest
from model_store.store import ModelStore


def test_every_version_has_an_archive_of_its_own(model_store: Path, tmp_path: Path) -> None:
    for version in ("2", "10"):
        shutil.copytree(model_store / "digits" / "1", model_store / "digits" / version)
        manifest = load_manifest(model_store / "digits" / version)
        save_manifest(model_store / "digits" / version, msgspec.structs.replace(manifest, version=version))
    backend = {"kind": "torchserve", "url": "http://127.0.0.1:18080", "launch": {}}
    config = GatewayConfig.model_validate({"model_store": model_store, "backends": {"ts": backend}})
    run = RunDirectory(tmp_path / "run")
    run.create()
    store = ModelStore(model_store)
    served = {"digits": store.get("digits"), "digits/2": store.get("digits", "2"), "words": store.get("words")}
    chosen = config.backends["ts"]
    assert chosen.kind == "torchserve"
    assert chosen.launch is not None
    launch = torchserve.launch_torchserve("ts", chosen, chosen.launch, LaunchContext(config, run, served))
    links = {path.name: path.readlink() for path in (run.path / "ts" / "model-store").iterdir()}
    assert links == {
        "digits.mar": model_store / "digits" / "10" / "torchserve" / "digits.mar",
        "digits-2.mar": model_store / "digits" / "2" / "torchserve" / "digits.mar",
        "words.mar": model_store / "words" / "1" / "torchserve" / "words.mar",
    }
    assert "load_models=digits.mar,digits-2.mar,words.mar\n" in (run.path / "ts" / "config.properties").read_text()
    assert [probe.model for probe in launch.probe.inputs] == ["digits", "words"]
