from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.manifests import make_manifest

from gateway.core.datatypes import Datatype
from model_store.manifest import save_manifest
from model_store.processing.steps import Decode, Layout, Resize, Softmax
from model_store.store import ModelStore

FLOATS, PAIR, PICTURES, BARE = "floats", "pair", "pictures", "bare"


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "grey.png"
    Image.new("L", (4, 4), 128).save(path)
    return path


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    """Models: of four floats (two samples), of two inputs, of pictures, and one without samples."""
    root = tmp_path / "models"
    scores = [("y", Datatype.FP32, (-1, 3))]
    floats = root / FLOATS / "1"
    (floats / "samples").mkdir(parents=True)
    np.save(floats / "samples" / "first.npy", np.ones((1, 4), np.float32))
    np.save(floats / "samples" / "second.npy", np.zeros((1, 4), np.float32))
    save_manifest(
        floats,
        make_manifest(
            FLOATS,
            [("x", Datatype.FP32, (-1, 4))],
            scores,
            samples=("samples/first.npy", "samples/second.npy"),
            postprocessing=(Softmax("y"),),
            files={"samples/first.npy": "checksum"},
        ),
    )
    pair = root / PAIR / "3"
    (pair / "samples").mkdir(parents=True)
    np.savez(pair / "samples" / "both.npz", mask=np.ones((1, 5), np.int64), ids=np.arange(5).reshape(1, 5))
    inputs = [("ids", Datatype.INT64, (-1, -1)), ("mask", Datatype.INT64, (-1, -1))]
    save_manifest(pair, make_manifest(PAIR, inputs, scores, version="3", samples=("samples/both.npz",)))
    steps = (Decode("L"), Resize(2, 2), Layout("FLAT"))
    for name, preprocessing, inputs in (
        (PICTURES, steps, [("x", Datatype.UINT8, (-1, 4))]),
        (BARE, (), [("x", Datatype.BYTES, (-1,))]),
    ):
        (root / name / "1").mkdir(parents=True)
        save_manifest(root / name / "1", make_manifest(name, inputs, scores, preprocessing=preprocessing))
    return ModelStore(root)
