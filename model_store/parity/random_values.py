"""Random tensors that a model could be given: other values would only show how it behaves out of its depth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gateway.core.datatypes import NUMPY_DTYPE, Datatype
from model_store.parity.tolerance import FLOATS
from model_store.parity.values import Array, as_bf16, as_floats

SEED = 20_240


def random_like(samples: Sequence[Array], like: Array, datatype: Datatype, index: int) -> Array:
    """A random tensor of the shape of ``like``; with fewer rows, the same first rows.

    Floats are normal with the samples' mean and standard deviation, integers uniform between their least and largest,
    BOOL coin flips, BYTES elements of the samples.

    Args:
        samples: real values of this input.
        like: real rows in the shape that is wanted.
        datatype: the input's.
        index: of the input, so that each has a stream of its own.
    """
    generator = np.random.default_rng((SEED, index))
    values = _draw(generator, np.concatenate([sample.reshape(-1) for sample in samples]), like.shape, datatype)
    if values.ndim > 1 and values.size and _is_flag(samples, datatype):
        # Most flags are masks, and one that hides the whole row is no input: engines disagree on it for good reason.
        values[:, :1] = like[:, :1]
    return values


def _draw(generator: np.random.Generator, elements: Array, shape: tuple[int, ...], datatype: Datatype) -> Array:
    if not elements.size:
        return np.zeros(shape, elements.dtype)
    if datatype in FLOATS:
        return _normal(generator, elements, shape, datatype)
    if datatype is Datatype.BYTES:
        return elements[generator.integers(elements.size, size=shape)]
    if datatype is Datatype.BOOL:
        return generator.integers(2, size=shape, dtype=np.bool_)
    low, high = int(elements.min()), int(elements.max())
    drawn: Array = generator.integers(low, high, size=shape, dtype=NUMPY_DTYPE[datatype], endpoint=True)
    return drawn


def _normal(generator: np.random.Generator, elements: Array, shape: tuple[int, ...], datatype: Datatype) -> Array:
    known = as_floats(elements, datatype)
    known = known[np.isfinite(known)] if np.isfinite(known).any() else np.zeros(1)
    # Nothing but zeros is a placeholder; any other constant is a setting, and stays as it is.
    spread = known.std() if known.any() else 1.0
    values = known.mean() + spread * generator.standard_normal(shape)
    return as_bf16(values) if datatype is Datatype.BF16 else values.astype(NUMPY_DTYPE[datatype])


def _is_flag(samples: Sequence[Array], datatype: Datatype) -> bool:
    if datatype is Datatype.BOOL:
        return True
    whole = datatype not in FLOATS and datatype is not Datatype.BYTES
    return whole and all(np.isin(sample, (0, 1)).all() for sample in samples)
