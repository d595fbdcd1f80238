"""A small Keras convolutional net, trained in the build on scikit-learn's handwritten digits."""

from __future__ import annotations

from functools import partial
from typing import Any

from model_store.definitions import digits
from model_store.definitions.base import ModelDefinition
from model_store.processing.steps import Decode, Layout, Normalize, Resize, TopK

EPOCHS = 15
BATCH = 64

PREPROCESSING = (
    Decode("L"),
    Resize(digits.SIDE, digits.SIDE),
    Normalize(scale=1 / 255, mean=(0.0,), std=(1.0,)),
    Layout("HWC"),
)


def source() -> Any:
    """The trained net."""
    import keras

    keras.utils.set_random_seed(digits.SEED)
    pictures, classes = digits.training_set(PREPROCESSING)
    model = keras.Sequential(
        [
            keras.Input((digits.SIDE, digits.SIDE, 1), name="image"),
            keras.layers.Conv2D(16, 3, activation="relu"),
            keras.layers.MaxPooling2D(),
            keras.layers.Conv2D(32, 3, activation="relu"),
            keras.layers.BatchNormalization(),
            keras.layers.MaxPooling2D(),
            keras.layers.Flatten(),
            keras.layers.Dropout(0.3),
            keras.layers.Dense(10, activation="softmax", name="probabilities"),
        ]
    )
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy")
    model.fit(pictures, classes, epochs=EPOCHS, batch_size=BATCH, verbose=0)
    return model


MODEL = ModelDefinition(
    name="digits-keras",
    version="1",
    description="Keras convolutional net, handwritten digits scaled to 28×28",
    license=digits.LICENSE,
    inputs=("image",),
    outputs=("probabilities",),
    max_batch_size=64,
    preprocessing=PREPROCESSING,
    postprocessing=(TopK("probabilities", 5),),
    tolerance=None,
    packages=("scikit-learn", "tensorflow"),
    labels=digits.labels,
    samples=partial(digits.samples, "image", PREPROCESSING),
    evaluation=partial(digits.held_out, "image", PREPROCESSING),
    assets=dict,
    source=source,
)
