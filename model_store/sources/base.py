"""What every source can do, whatever its framework."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NoReturn, Protocol

import numpy as np

from gateway.core.datatypes import NUMPY_DTYPE, Datatype, datatype_of
from gateway.core.signatures import Signature, TensorSpec
from model_store.definitions.base import Array
from model_store.errors import BuildFailed

Tensors = dict[str, Array]
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
PROBE_BATCH = 3  # rows that tell a batch dimension from one that is 1 or 2 by chance


class Source(Protocol):
    """An opened model.

    Attributes:
        framework: ``pytorch``, ``keras``, ``tensorflow``, ``scikit-learn`` or ``onnx``: which routes lead from it.
        description: what it is, in a few words: its class, or the kind of file.
        signature: what it takes and gives.
        samples: the given samples, by input name and in the model's datatypes; a made-up one where none was given.
        labels: class names that the model itself knows; empty when it knows none.
        scores: name of the output with one score a class; None when there is none or it cannot be told.
    """

    framework: str
    description: str
    signature: Signature
    samples: Sequence[Tensors]
    labels: Sequence[str]
    scores: str | None

    def run(self, inputs: Mapping[str, Array]) -> Tensors:
        """All outputs by name, as the framework itself computes them."""
        ...

    def freeze(self, folder: Path) -> dict[str, str]:
        """Write the forms that the exporters read; gives those that could not be made, with the reason.

        Raises:
            BuildFailed: it cannot be frozen in any way; says what was tried.
        """
        ...


def infer_signature(
    inputs: Sequence[str], samples: Sequence[Tensors], run: Callable[[Tensors], Tensors], outputs: Sequence[str] = ()
) -> Signature:
    """The signature of a model that declares none, from how it answers samples and batches of them.

    The first dimension is the batch. Another one is free where two samples differ in it.

    Args:
        inputs: names, in the order of the model.
        samples: at least one; arrays with a batch dimension.
        run: the model.
        outputs: their order; that of the answer by default.

    Raises:
        BuildFailed: an output has no batch dimension, or the model refuses a larger batch.
    """
    answers = [run(sample) for sample in samples]
    batch = {name: repeat_rows(array, PROBE_BATCH) for name, array in samples[0].items()}
    try:
        answers.append(run(batch))
    except Exception as error:
        hint = "a sample needs its batch dimension first: save array[None]; "
        hint = hint if any(array.ndim < 2 for array in batch.values()) else ""
        raise BuildFailed(
            f"the model takes the sample but not a batch of {PROBE_BATCH}: {hint}{first_line(error)}"
        ) from error
    for name, array in answers[-1].items():
        if array.shape[:1] != (PROBE_BATCH,):
            raise BuildFailed(
                f"output {name!r} has shape {list(array.shape)} for a batch of {PROBE_BATCH}: its first dimension "
                f"must be the batch"
            )
    return Signature(
        tuple(_spec(name, [sample[name] for sample in samples]) for name in inputs),
        tuple(_spec(name, [answer[name] for answer in answers]) for name in outputs or answers[0]),
    )


def repeat_rows(array: Array, rows: int) -> Array:
    """A batch of ``rows`` made of the array's own rows, going round."""
    return array[np.arange(rows) % len(array)]


def fit_samples(samples: Sequence[Tensors], specs: Sequence[TensorSpec]) -> list[Tensors]:
    """``samples`` in the datatypes and order of ``specs``; floats are cast to the model's floats, nothing else is.

    Raises:
        BuildFailed: a sample does not fit; names input, what it is and what the model wants.
    """
    return [{spec.name: _fit(sample, spec) for spec in specs} for sample in samples]


def name_inputs(samples: Sequence[Tensors], names: Sequence[str]) -> list[Tensors]:
    """``samples`` by the model's input names: one array without a name is the only input.

    Raises:
        BuildFailed: names are missing or unknown.
    """
    named = []
    for sample in samples:
        if len(sample) == len(names) == 1:
            named.append({names[0]: next(iter(sample.values()))})
        elif set(sample) != set(names):
            given = "one unnamed array" if [*sample] == [""] else f"{sorted(sample)}"
            raise BuildFailed(
                f"the model takes the inputs {[*names]}, the sample gives {given}"
                + ("" if len(names) == 1 else "; give an .npz file with one array an input")
            )
        else:
            named.append({name: sample[name] for name in names})
    return named


def distinct_names(outputs: Sequence[str], inputs: Sequence[str]) -> list[str]:
    """``outputs``, with ``_output`` after those that are an input's name: in ONNX a name stands for one value."""
    taken = {*inputs, *outputs}
    distinct = []
    for name in outputs:
        new = name
        while new in inputs or (new != name and new in taken):
            new += "_output"
        taken.add(new)
        distinct.append(new)
    return distinct


def plain_names(names: Sequence[str]) -> list[str]:
    """``names`` as TensorFlow can have them in a signature: ``input:0`` and ``/in`` become ``input_0`` and ``in``."""
    plain: list[str] = []
    for name in names:
        new = name if _PLAIN.fullmatch(name) else re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_")
        new = new if _PLAIN.fullmatch(new) else f"input_{new}"
        plain.append(new if new not in plain else f"{new}_{len(plain)}")
    return plain


def made_up_sample(specs: Sequence[TensorSpec]) -> Tensors:
    """A sample for a model that declares its inputs and came without any: normal floats, zeros elsewhere."""
    generator = np.random.default_rng(0)
    sample: Tensors = {}
    for spec in specs:
        shape = [1 if size == -1 else size for size in spec.shape]
        if spec.datatype is Datatype.BYTES:
            sample[spec.name] = np.full(shape, "", dtype=object)
            continue
        dtype = NUMPY_DTYPE[spec.datatype]
        floats = dtype.kind == "f"
        sample[spec.name] = np.asarray(generator.standard_normal(shape) if floats else np.zeros(shape), dtype)
    return sample


def sample_needed(description: str) -> NoReturn:
    """Raise BuildFailed: the model declares no inputs, so nothing can be made up for it."""
    raise BuildFailed(f"{description} does not say what it takes: give a sample with --sample x.npy")


def first_line(error: BaseException) -> str:
    """The first line of what a framework says, which is the one that helps; never empty."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:300] if lines else type(error).__name__


def _fit(sample: Tensors, spec: TensorSpec) -> Array:
    array = sample[spec.name]
    if spec.datatype is Datatype.BYTES:
        wanted = np.dtype(object)
        array = array.astype(object) if array.dtype.kind in "OSU" else array
    else:
        wanted = NUMPY_DTYPE[spec.datatype]
        if array.dtype.kind == "f" and wanted.kind == "f":
            array = array.astype(wanted)
    if array.dtype != wanted:
        raise BuildFailed(f"input {spec.name!r}: the sample holds {array.dtype}, the model takes {spec.datatype}")
    if not spec.accepts_shape(array.shape):
        shape = ["n" if size == -1 else size for size in spec.shape]
        hint = ""
        if array.ndim == len(spec.shape) - 1 and spec.shape[:1] == (-1,):
            hint = "; a sample needs its batch dimension first: save array[None]"
        raise BuildFailed(
            f"input {spec.name!r}: the sample has shape {list(array.shape)}, the model takes {shape}{hint}".replace(
                "'n'", "n"
            )
        )
    return array


def _spec(name: str, arrays: Sequence[Array]) -> TensorSpec:
    ranks = {array.ndim for array in arrays}
    if len(ranks) > 1:
        raise BuildFailed(f"{name!r} has {sorted(ranks)} dimensions from sample to sample; one number is needed")
    shapes = np.array([array.shape for array in arrays])
    shape = [int(sizes[0]) if (sizes == sizes[0]).all() else -1 for sizes in shapes.T]
    return TensorSpec(name, datatype_of(arrays[0]), (-1, *shape[1:]))
