"""Everything that one model's manifest declares to happen before and after it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

import numpy as np

from gateway.core.datatypes import NUMPY_DTYPE
from model_store.errors import InvalidImage, InvalidInput, InvalidText
from model_store.manifest import Manifest
from model_store.processing.image import preprocess
from model_store.processing.scores import Class, top_classes
from model_store.processing.steps import Tokenize, scores_output, takes
from model_store.processing.text import TextEncoder, check_text, decode_text
from model_store.store import Array, StoredModel


class Processor:
    """Pictures or texts to a model's inputs, and its outputs to classes. May be used from several threads.

    Nothing is opened before it is needed; ``load`` opens it all at once. ``manifest`` is the model's.
    """

    def __init__(self, directory: Path, manifest: Manifest) -> None:
        self.manifest = manifest
        self._model = StoredModel(directory, manifest)
        self._steps = manifest.preprocessing
        self.takes = takes(manifest.preprocessing)

    def load(self) -> None:
        """Open what the preprocessing needs.

        Raises:
            MissingPackage: a package for it is not installed.
            CorruptArtifact: a file of it is missing or damaged.
        """
        if self.takes == "texts":
            self._encoder  # noqa: B018 - opened by being asked for

    def from_pictures(self, pictures: Sequence[Path | bytes]) -> dict[str, Array]:
        """The model's inputs for at least one picture, with a batch dimension.

        Raises:
            InvalidImage: one cannot be used (says which), or the model takes no pictures.
        """
        arrays = []
        for index, picture in enumerate(pictures):
            with _element(index, named=isinstance(picture, bytes)):
                arrays.append(preprocess(picture, self._steps))
        if len({array.shape for array in arrays}) > 1:
            raise InvalidImage("pictures of different sizes do not fit one batch of this model")
        spec = self._model.manifest.signature.inputs[0]
        return {spec.name: np.stack(arrays).astype(NUMPY_DTYPE[spec.datatype], copy=False)}

    def from_texts(self, texts: Sequence[str]) -> dict[str, Array]:
        """The model's inputs for at least one text, with a batch dimension.

        Raises:
            InvalidText: one cannot be used (of several, says which), or the model takes no texts.
            MissingPackage: the package of the tokenizer is not installed.
            CorruptArtifact: the tokenizer is missing or damaged.
        """
        if self.takes != "texts":
            raise InvalidText(f"the model takes {self.takes}, not texts: that is what its preprocessing declares")
        for index, text in enumerate(texts):
            with _element(index, named=len(texts) > 1):
                check_text(text)
        found = self._encoder(texts)
        return {spec.name: found[spec.name] for spec in self._model.manifest.signature.inputs}

    def from_raw(self, elements: Sequence[bytes]) -> dict[str, Array]:
        """As ``from_pictures`` of files' bytes, or ``from_texts`` of UTF-8: whichever the model takes."""
        if self.takes != "texts":
            return self.from_pictures(elements)
        texts = []
        for index, element in enumerate(elements):
            with _element(index, named=True):
                texts.append(decode_text(element))
        return self.from_texts(texts)

    def fills(self) -> tuple[dict[str, int], bool]:
        """As ``TextEncoder.fills``; nothing fills up the inputs of a model that takes no texts.

        Raises:
            MissingPackage: the package of the tokenizer is not installed.
            CorruptArtifact: the tokenizer is missing or damaged.
        """
        return self._encoder.fills() if self.takes == "texts" else ({}, False)

    def top_classes(self, outputs: Mapping[str, Array]) -> list[list[Class]]:
        """The most probable classes of each row, best first; empty for a model that is no classifier."""
        steps = self._model.manifest.postprocessing
        scores = scores_output(steps)
        return [] if scores is None else top_classes(outputs[scores], steps, self._labels)

    @cached_property
    def _encoder(self) -> TextEncoder:
        (step,) = (step for step in self._steps if isinstance(step, Tokenize))
        return TextEncoder(step, self._model.directory)

    @cached_property
    def _labels(self) -> list[str]:
        return self._model.labels()


@contextmanager
def _element(index: int, *, named: bool) -> Iterator[None]:
    """What is wrong inside is wrong with one element of a batch: name it, unless it has a name of its own."""
    try:
        yield
    except InvalidInput as error:
        if not named:
            raise
        raise type(error)(f"element {index}: {error}") from error
