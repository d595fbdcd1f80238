"""From texts to a model's inputs, by the declared tokenizer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from model_store.errors import CorruptArtifact, InvalidText, MissingPackage
from model_store.processing.steps import Tokenize

Array = npt.NDArray[np.generic]

# A text of more characters is refused: all of it is tokenized before the end is cut off.
MAX_CHARACTERS = 100_000


class TextEncoder:
    """A ``tokenizer.json``, opened once; may be called from several threads.

    Args:
        step: the manifest's.
        directory: the model's.

    Raises:
        MissingPackage: ``tokenizers`` is not installed.
        CorruptArtifact: the file is missing or damaged, or does not fit the step.
    """

    def __init__(self, step: Tokenize, directory: Path) -> None:
        try:
            from tokenizers import Tokenizer
        except ImportError:
            raise MissingPackage(
                "this model takes texts, and the package tokenizers is not installed; "
                "install it with: pip install 'serving-gateway[text]'"
            ) from None
        path = directory / step.tokenizer
        try:
            self._tokenizer = Tokenizer.from_str(path.read_text("utf-8"))
        except OSError as error:
            raise CorruptArtifact(f"{path}: {error.strerror}") from error
        except Exception as error:  # the library has no class of its own for what it cannot read
            raise CorruptArtifact(f"{path} is no tokenizer that can be read ({error})") from error
        pad_id = self._tokenizer.token_to_id(step.pad)
        if pad_id is None:
            raise CorruptArtifact(f"{path}: the tokenizer has no token {step.pad!r} to pad with")
        special = self._tokenizer.num_special_tokens_to_add(is_pair=False)
        if step.max_length <= special:  # the library would then cut nothing
            raise CorruptArtifact(
                f"{path}: max_length {step.max_length} leaves no room beside the tokenizer's {special} special tokens"
            )
        padding = {
            "pad_id": pad_id,
            "pad_token": step.pad,
            "length": step.max_length if step.padding == "max_length" else None,
            "pad_to_multiple_of": None,
        }
        truncation = {"max_length": step.max_length, "stride": 0}
        # On which side to pad and to cut stays as the file has it.
        self._tokenizer.enable_padding(**(self._tokenizer.padding or {}) | padding)
        self._tokenizer.enable_truncation(**(self._tokenizer.truncation or {}) | truncation)
        self._step = step
        self._pad_id: int = pad_id

    def fills(self) -> tuple[dict[str, int], bool]:
        """What fills up a short row of each input that is told by a mask what to leave out, and whether on the left.

        Nothing fills up where there is no mask, or all rows have the same length anyhow.
        """
        step, padding = self._step, self._tokenizer.padding or {}
        left = padding["direction"] == "left"
        if step.mask is None or step.padding != "longest":
            return {}, left
        types = {} if step.types is None else {step.types: padding["pad_type_id"]}
        return {step.ids: self._pad_id, step.mask: 0} | types, left

    def __call__(self, texts: Sequence[str]) -> dict[str, Array]:
        """The model's inputs for ``texts``, each of shape [texts, tokens].

        Raises:
            InvalidText: the texts have not a single token.
        """
        step, dtype = self._step, np.int64 if self._step.datatype == "INT64" else np.int32
        encodings = self._tokenizer.encode_batch_fast(list(texts))
        if not encodings[0].ids:  # they are all of the same length now
            raise InvalidText("it gives no tokens")
        found: dict[str, Array] = {step.ids: np.array([encoding.ids for encoding in encodings], dtype)}
        if step.mask is not None:
            found[step.mask] = np.array([encoding.attention_mask for encoding in encodings], dtype)
        if step.types is not None:
            found[step.types] = np.array([encoding.type_ids for encoding in encodings], dtype)
        return found


def check_text(text: str) -> str:
    """``text`` itself.

    Raises:
        InvalidText: it is too long, or holds half of a character.
    """
    if len(text) > MAX_CHARACTERS:
        raise InvalidText(f"{len(text)} characters are over the limit of {MAX_CHARACTERS}")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidText(f"it is not valid Unicode (character {error.start})") from None
    return text


def decode_text(raw: bytes) -> str:
    """The text in ``raw``.

    Raises:
        InvalidText: it is not UTF-8, or as ``check_text``.
    """
    try:
        return check_text(raw.decode())
    except UnicodeDecodeError as error:
        raise InvalidText(f"it is not UTF-8 (byte {error.start})") from None
