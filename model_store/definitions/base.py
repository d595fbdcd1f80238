"""What a model definition says: everything the build needs to know about one model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from model_store.processing.image import preprocess
from model_store.processing.steps import PostStep, PreStep

Array = npt.NDArray[np.generic]


@dataclass(slots=True, frozen=True)
class Sample:
    """One real input: input name → array with a batch dimension of 1, and the PNG or text it was made from, if any."""

    name: str
    inputs: Mapping[str, Array]
    picture: bytes | None = None
    text: str | None = None


@dataclass(slots=True, frozen=True)
class Evaluation:
    """Held-out examples with their right classes: what the accuracy of every artefact is measured on.

    Attributes:
        inputs: input name → array of n rows.
        classes: the right class of each row, as an index; shape [n].
    """

    inputs: Mapping[str, Array]
    classes: Array


@dataclass(slots=True, frozen=True)
class ModelDefinition:
    """One model.

    Attributes:
        name: as clients say it; also the name of its folder and of its artefacts.
        version: a number; raise it when the model's answers change on purpose.
        description: one line for people.
        license: of the weights and the data they come from.
        inputs: names of the inputs, in the model's order; empty to take them from the model itself.
        outputs: names of the outputs, likewise.
        max_batch_size: largest batch a server should put together.
        preprocessing: from a picture or a text to the inputs; empty when the model takes neither.
        postprocessing: from the output to classes; empty for other tasks.
        tolerance: largest absolute difference from the source that the parity gate lets pass; None for what its
            datatype allows.
        packages: distributions that carry its weights or data: a new version of one is a new build.
        labels: one label a class, in order; None when it has none.
        samples: real inputs, one at least.
        evaluation: labelled inputs that nothing was trained on; None when there are none.
        assets: further files of the model's directory, such as a tokenizer: name → where it lies.
        source: the model in its own framework, loaded or trained; see ``sources.opening``.
    """

    name: str
    version: str
    description: str
    license: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    max_batch_size: int
    preprocessing: tuple[PreStep, ...]
    postprocessing: tuple[PostStep, ...]
    tolerance: float | None
    packages: tuple[str, ...]
    labels: Callable[[], Sequence[str]] | None
    samples: Callable[[], Sequence[Sample]]
    evaluation: Callable[[], Evaluation] | None
    assets: Callable[[], Mapping[str, Path]]
    source: Callable[[], Any]


def picture_sample(name: str, picture: bytes, input_name: str, steps: Sequence[PreStep]) -> Sample:
    """The sample that preprocessing makes of a PNG."""
    return Sample(name, {input_name: preprocess(picture, steps)[None]}, picture)
