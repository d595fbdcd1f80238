"""The rows on which the engines are furthest from the source, as files to debug with."""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from model_store.parity.difference import SOURCE, Difference, worst_of
from model_store.parity.pair import Answers
from model_store.parity.values import Array, Tensors, raw_elements

FOLDER = "worst"
LONGEST_NAME = 60


def keep_worst(
    folder: Path,
    differences: Sequence[Difference],
    sets: Mapping[str, Tensors],
    answers: Mapping[str, Answers],
    *,
    batched: bool,
) -> list[Path]:
    """Write the worst row of every engine and output where it differs from the source at all.

    Per engine and output: ``worst/<engine>-<output>-input-<input>.npy`` for each input, with a batch dimension of 1,
    and what the source and the engine answered, ``…-expected.npy`` and ``…-got.npy``.

    Args:
        folder: the folder that ``worst`` goes into.
        differences: as ``compare`` found them.
        sets: the sets of inputs.
        answers: of every participant.
        batched: whether the model takes batches; else a set is kept whole.

    Returns:
        The files, in the order of ``differences``.
    """
    groups: dict[tuple[str, str], list[Difference]] = {}
    for found in differences:
        if found.pair[0] == SOURCE and not (found.max_abs == 0 and found.top1 == 1):
            groups.setdefault((found.pair[1], found.output), []).append(found)
    written = []
    for (engine, output), group in groups.items():
        worst = worst_of(group)
        rows = slice(worst.worst_row, worst.worst_row + 1) if batched else ...
        stem = f"{_file_name(engine)}-{_file_name(output)}"
        arrays = {f"input-{_file_name(name)}": array for name, array in sets[worst.inputs].items()} | {
            "expected": answers[SOURCE][worst.inputs][output],
            "got": answers[engine][worst.inputs][output],
        }
        for part, array in arrays.items():
            path = folder / FOLDER / f"{stem}-{part}.npy"
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path, _plain(array[rows]), allow_pickle=False)
            written.append(path)
    return written


def forget_worst(folder: Path, engine: str) -> None:
    """Remove what ``keep_worst`` wrote of ``engine``, and the folder with the last of it."""
    for path in (folder / FOLDER).glob(f"{_file_name(engine)}-*.npy"):
        path.unlink()
    if (folder / FOLDER).is_dir() and not any((folder / FOLDER).iterdir()):
        (folder / FOLDER).rmdir()


def _file_name(name: str) -> str:
    """``name`` with only letters, digits, ``_`` and ``.``; a checksum keeps apart what would come out alike."""
    plain = re.sub(r"[^A-Za-z0-9_.]+", "_", name).lstrip(".")[:LONGEST_NAME]
    return plain if plain == name else f"{plain}~{zlib.crc32(name.encode()):08x}"


def _plain(array: Array) -> Array:
    """Text as fixed-length bytes: a file of Python objects would be a pickle."""
    if not array.dtype.hasobject:
        return array
    return np.array(raw_elements(array), dtype=np.bytes_).reshape(array.shape)
