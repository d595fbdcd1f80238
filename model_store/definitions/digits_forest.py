"""A random forest of scikit-learn, trained in the build on its handwritten digits."""

from __future__ import annotations

from functools import partial
from typing import Any

from model_store.definitions import digits
from model_store.definitions.base import ModelDefinition
from model_store.processing.steps import Decode, Layout, Normalize, Resize, TopK

TREES = 100
SIDE = 8  # the digits' own size

PREPROCESSING = (
    Decode("L"),
    Resize(SIDE, SIDE),
    Normalize(scale=1 / 255, mean=(0.0,), std=(1.0,)),
    Layout("FLAT"),
)


def source() -> Any:
    """The trained forest."""
    from sklearn.ensemble import RandomForestClassifier

    pictures, classes = digits.training_set(PREPROCESSING)
    return RandomForestClassifier(TREES, random_state=digits.SEED).fit(pictures, classes)


MODEL = ModelDefinition(
    name="digits-forest",
    version="1",
    description=f"random forest of {TREES} trees, handwritten digits of 8×8",
    license=digits.LICENSE,
    inputs=("input",),
    outputs=("label", "probabilities"),
    max_batch_size=128,
    preprocessing=PREPROCESSING,
    postprocessing=(TopK("probabilities", 5),),
    tolerance=None,
    packages=("scikit-learn", "skl2onnx"),
    labels=digits.labels,
    samples=partial(digits.samples, "input", PREPROCESSING),
    evaluation=partial(digits.held_out, "input", PREPROCESSING),
    assets=dict,
    source=source,
)
