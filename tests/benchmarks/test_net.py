"""The net as other people's servers have it answers as ours does."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from benchmarks import peers
from benchmarks.matrix import MODEL, MOST_ROWS
from benchmarks.store import ARTIFACT, make_store

PROGRAMS = Path(peers.__file__).parent / "programs"


@pytest.fixture
def session(monkeypatch, digits_store):
    stored = digits_store.get(MODEL)
    monkeypatch.setenv("NET_MODEL", str(stored.artifact(ARTIFACT)))
    monkeypatch.setenv("NET_THREADS", "1")
    spec = importlib.util.spec_from_file_location("net", PROGRAMS / "net.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Session()


def test_it_answers_as_the_models_source(session, digits_store):
    stored = digits_store.get(MODEL)
    for name in stored.answered_samples():
        (rows,) = stored.sample(name).values()
        (expected,) = stored.answer(name).values()
        tensor = {"name": "input", "datatype": "FP32", "shape": list(rows.shape), "data": rows.ravel().tolist()}
        (output,) = session.answer({"inputs": [tensor]})["outputs"]
        assert output["name"] == "logits"
        got = np.array(output["data"]).reshape(output["shape"])
        np.testing.assert_allclose(got, expected, atol=1e-4)


def test_its_store_takes_large_requests_and_leaves_the_other_as_it_is(digits_store, tmp_path):
    before = digits_store.get(MODEL).manifest
    made = make_store(digits_store, tmp_path / "models").get(MODEL)
    assert made.manifest.max_batch_size == MOST_ROWS
    assert made.artifact(ARTIFACT).read_bytes() == digits_store.get(MODEL).artifact(ARTIFACT).read_bytes()
    assert digits_store.get(MODEL).manifest == before


@pytest.mark.parametrize("peer", peers.PEERS, ids=lambda peer: peer.name)
def test_versions_are_pinned_and_forms_known(peer):
    assert all("==" in requirement for requirement in peer.requirements)
    assert peer.forms
    assert peer.remark
