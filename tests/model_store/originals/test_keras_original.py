"""In a process of its own: TensorFlow takes its number of threads only once."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

PROGRAM = """
import json, sys
from pathlib import Path
import msgspec, numpy as np
from gateway.core.datatypes import Datatype
from gateway.core.signatures import Signature, TensorSpec
from model_store.originals import FILE_NAME, Original, open_original

folder = Path(sys.argv[1])
row = Signature((TensorSpec("a", Datatype.FP32, (-1, 2)),), (TensorSpec("sum", Datatype.FP32, (-1, 1)),))

import os
os.environ["KERAS_BACKEND"] = "tensorflow"
import keras
x = keras.Input((2,), name="a")
keras.Model(x, keras.ops.sum(x, axis=-1, keepdims=True)).save(folder / "model.keras")
(folder / FILE_NAME).write_bytes(msgspec.json.encode(Original("keras", "predict_on_batch of Functional")))
engine = open_original(folder, row, threads=1)
import tensorflow as tf
print(json.dumps({
    "version": engine.version == keras.__version__,
    "device": engine.device,
    "threads": tf.config.threading.get_intra_op_parallelism_threads(),
    "answer": engine.run({"a": np.array([[1, 2], [3, 4]], np.float32)})["sum"].tolist(),
}))
"""


def test_the_saved_model_answers_through_keras(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM, tmp_path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout.splitlines()[-1]) == {
        "version": True,
        "device": "cpu",
        "threads": 1,
        "answer": [[3.0], [7.0]],
    }
