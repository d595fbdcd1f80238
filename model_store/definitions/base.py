"""What a model definition says: everything the build needs to know about one model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gateway.core.signatures import Signature
from model_store.manifest import Classification
from model_store.preprocess import Step, preprocess

Array = npt.NDArray[np.generic]


@dataclass(slots=True, frozen=True)
class Sample:
    """One real input: input name → array with a batch dimension of 1, and the PNG it was made from, if any."""

    name: str
    inputs: Mapping[str, Array]
    picture: bytes | None = None


@dataclass(slots=True, frozen=True)
class TorchSource:
    """A PyTorch module ready for inference, and what was measured on it (``test_accuracy``, …)."""

    module: Any
    metrics: Mapping[str, float]


@dataclass(slots=True, frozen=True)
class ModelDefinition:
    """One model.

    Attributes:
        name: as clients say it; also the name of its folder and of its artefacts.
        version: a number; raise it when the model's answers change on purpose.
        description: one line for people.
        license: of the weights and the data they come from.
        signature: inputs and outputs; ``-1`` in the first place is the batch.
        max_batch_size: largest batch a server should put together.
        preprocessing: from a picture to the first input; empty when the model takes no pictures.
        classification: which output scores the labels; None for other tasks.
        tolerance: largest absolute difference between two engines that the parity gate lets pass.
        packages: distributions that carry its weights or data: a new version of one is a new build.
        labels: one label a class, in order; None when it has none.
        samples: real inputs, at least as many as the largest batch of the parity gate.
        source: the PyTorch module, loaded or trained.
    """

    name: str
    version: str
    description: str
    license: str
    signature: Signature
    max_batch_size: int
    preprocessing: tuple[Step, ...]
    classification: Classification | None
    tolerance: float
    packages: tuple[str, ...]
    labels: Callable[[], Sequence[str]] | None
    samples: Callable[[], Sequence[Sample]]
    source: Callable[[], TorchSource]


def picture_sample(name: str, picture: bytes, input_name: str, steps: Sequence[Step]) -> Sample:
    """The sample that preprocessing makes of a PNG."""
    return Sample(name, {input_name: preprocess(picture, steps)[None]}, picture)
