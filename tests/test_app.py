"""What keeps a gateway process from starting."""

import pytest
from support.gateways import ENGINE, settings
from support.tiny_store import make_store

from gateway.app import App
from model_store.errors import CorruptArtifact, ModelMissing


def test_a_corrupt_artefact_is_named(tmp_path):
    make_store(tmp_path)
    artefact = tmp_path / "double" / "1" / "onnx" / "model.onnx"
    damaged = bytearray(artefact.read_bytes())
    damaged[-1] ^= 1
    artefact.write_bytes(damaged)
    with pytest.raises(CorruptArtifact, match=r"double: .*model\.onnx is corrupt"):
        App(settings(tmp_path, {"engine": ENGINE}, models=["double"]))


def test_an_empty_store_is_named(tmp_path):
    with pytest.raises(ModelMissing, match="is empty; build a model"):
        App(settings(tmp_path, {"engine": ENGINE}))


def test_a_missing_model_is_named(tmp_path):
    make_store(tmp_path)
    with pytest.raises(ModelMissing, match="nope"):
        App(settings(tmp_path, {"engine": ENGINE}, models=["nope"]))
