"""What a run asks for: models, their payloads, and how often each is sent."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gateway.core.messages import InferRequest
from gateway.core.signatures import Signature
from model_store.parity.tolerance import Tolerance

# Requests whose payloads are drawn beforehand; the draw starts over when they are used up.
ORDER_LENGTH = 1 << 16


@dataclass(slots=True, frozen=True)
class MeasuredModel:
    """A model under measurement.

    Attributes:
        version: the store's, or the one that was asked for; else empty. Requests name one only when that was asked for.
        class_output: the output whose greatest element is the predicted class; empty when it does not classify.
        checksums: SHA-256 of its artefacts' files by path; empty when it is in no store.
        tolerance: how far apart answers of its servers may be; None when it is in no store.
    """

    name: str
    version: str
    signature: Signature
    class_output: str
    checksums: dict[str, str]
    tolerance: Tolerance | None = None


@dataclass(slots=True, frozen=True)
class Payload:
    """One request.

    Attributes:
        model: the model it asks.
        request: its tensors; encoded for each target before the clock starts.
        label: where it comes from, such as ``chelsea.npy`` or ``random 3``.
        rows: inferences in it (length of the batch dimension, 1 without one).
        weight: how often it is sent, relative to the others.
    """

    model: MeasuredModel
    request: InferRequest
    label: str
    rows: int = 1
    weight: float = 1.0


@dataclass(slots=True, frozen=True)
class Workload:
    """All payloads of a run, in a fixed order; requests name them by their number."""

    payloads: tuple[Payload, ...]

    @property
    def models(self) -> tuple[MeasuredModel, ...]:
        """Every model once, in order of appearance."""
        found = {(payload.model.name, payload.model.version): payload.model for payload in self.payloads}
        return tuple(found.values())

    @property
    def requests(self) -> tuple[InferRequest, ...]:
        """The requests in order."""
        return tuple(payload.request for payload in self.payloads)

    @property
    def name(self) -> str:
        """The models' names, joined."""
        return "+".join(model.name for model in self.models)

    def order(self, seed: int) -> npt.NDArray[np.int64]:
        """Numbers of the payloads in the order of sending, ``ORDER_LENGTH`` of them.

        Equal weights go round in shuffled turns, so that every payload is sent equally often; others are drawn.
        """
        random = np.random.default_rng(seed)
        weights = np.array([payload.weight for payload in self.payloads], dtype=np.float64)
        count = len(weights)
        if np.all(weights == weights[0]):
            turns = -(-ORDER_LENGTH // count)
            shuffled = random.permuted(np.tile(np.arange(count, dtype=np.int64), (turns, 1)), axis=1)
            return shuffled.ravel()[:ORDER_LENGTH]
        return random.choice(count, ORDER_LENGTH, p=weights / weights.sum()).astype(np.int64)
