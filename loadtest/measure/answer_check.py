"""Is what a target answers what the model gives? In full at first, cheaply under load, in full for a sample of that."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from gateway.core.errors import GatewayError
from gateway.core.messages import InferResponse
from gateway.core.signatures import TensorSpec
from gateway.core.tensors import Tensor, check_data
from loadtest.calls import Call
from loadtest.measure.agreement import Outputs, deviation
from loadtest.measure.reservoir import Reservoir
from loadtest.payloads.workload import Payload, Workload

Decode = Callable[[int, bytes, int | None], InferResponse]

# Kept of a block to be compared in full: when one answer in a hundred is wrong, two blocks of three show it.
_MOST_SAMPLES = 128
_MOST_BYTES = 16 << 20


class WrongAnswer(Exception):
    """A target answers, but not with what the model gives; ``str`` says what is wrong with it."""


class WrongSample(NamedTuple):
    """A sampled answer under load that differed. ``scheduled`` is the clock time at which its request was due."""

    payload: int
    scheduled: int
    kind: str
    detail: str


class Sampled(NamedTuple):
    """How many answers under load were compared in full, and those of them that were wrong."""

    compared: int
    wrong: tuple[WrongSample, ...]


class _Kept(NamedTuple):
    payload: int
    scheduled: int
    body: bytes
    header_length: int | None


class AnswerCheck:
    """Learns one target's answers to every payload, then checks the answers under load."""

    def __init__(self, decode: Decode, workload: Workload, seed: int = 0) -> None:
        """``seed`` draws the sample of the answers."""
        self._decode = decode
        self._payloads = workload.payloads
        self._learned: dict[int, Outputs] = {}
        self._sizes: tuple[set[int], ...] = tuple(set() for _ in workload.payloads)
        self._largest = 1
        self._seed = seed
        self._samples: Reservoir[_Kept] = Reservoir(_MOST_SAMPLES, seed)

    def learn(self, payload: int, body: bytes, header_length: int | None) -> Outputs:
        """Take the first answer to ``payload`` for what the target gives.

        Raises:
            WrongAnswer: it cannot be read or does not fit the model's signature.
        """
        outputs = self._read(payload, body, header_length)
        self._learned[payload] = outputs
        self._sizes[payload].add(len(body))
        self._largest = max(self._largest, len(body))
        self._samples = self._new_samples()
        return outputs

    @property
    def outputs(self) -> tuple[Outputs, ...]:
        """The learned answers in the order of the payloads."""
        return tuple(self._learned[payload] for payload in range(len(self._payloads)))

    def __call__(self, call: Call) -> bool:
        """Whether the answer is as long as a good one was, or at least has its tensors' shapes.

        ``call.detail`` says what is wrong with one that is not. A good one may be kept for ``sampled``.
        """
        sizes = self._sizes[call.payload]
        if len(call.body) not in sizes:
            problem = self._misfit(call)
            if problem:
                call.detail = problem
                return False
            sizes.add(len(call.body))  # numbers in text vary in length with their last digits
        if self._samples.wants_next():
            self._samples.keep(_Kept(call.payload, call.scheduled, call.body, call.header_length))
        return True

    def sampled(self) -> Sampled:
        """Compare the answers that were kept since the last time with the learned ones, and forget them."""
        kept, self._samples = self._samples.items, self._new_samples()
        wrong = tuple(sample for sample in map(self._compared, kept) if sample is not None)
        return Sampled(len(kept), wrong)

    def _compared(self, kept: _Kept) -> WrongSample | None:
        payload = self._payloads[kept.payload]
        try:
            outputs = self._read(kept.payload, kept.body, kept.header_length)
        except WrongAnswer as error:
            return WrongSample(kept.payload, kept.scheduled, "wrong answer", str(error))
        problem = deviation(payload, outputs, self._learned[kept.payload]).problem
        return WrongSample(kept.payload, kept.scheduled, "wrong values", problem) if problem else None

    def _misfit(self, call: Call) -> str:
        try:
            outputs = self._read(call.payload, call.body, call.header_length)
        except WrongAnswer as error:
            return str(error)
        shapes = {name: array.shape for name, array in outputs.items()}
        learned = {name: array.shape for name, array in self._learned[call.payload].items()}
        return "" if shapes == learned else f"the outputs' shapes are {shapes}, at first they were {learned}"

    def _read(self, payload: int, body: bytes, header_length: int | None) -> Outputs:
        try:
            return _fitting(self._decode(payload, body, header_length), self._payloads[payload])
        except GatewayError as error:
            raise WrongAnswer(error.message) from None

    def _new_samples(self) -> Reservoir[_Kept]:
        self._seed += 1
        return Reservoir(max(1, min(_MOST_SAMPLES, _MOST_BYTES // self._largest)), self._seed)


def _fitting(response: InferResponse, payload: Payload) -> Outputs:
    """The tensors of the outputs that were asked for, once they are what the signature says."""
    given = {tensor.name: tensor for tensor in response.outputs}
    specs = {spec.name: spec for spec in payload.model.signature.outputs}
    outputs: Outputs = {}
    for name in payload.request.outputs or (*specs,) or (*given,):  # nobody may know the model's outputs
        tensor = given.get(name)
        if tensor is None:
            raise WrongAnswer(f"output {name!r} is missing; the answer has {sorted(given)}")
        _check(tensor, specs.get(name))
        outputs[name] = tensor.to_numpy()
    return outputs


def _check(tensor: Tensor, spec: TensorSpec | None) -> None:
    if spec is not None and (tensor.datatype is not spec.datatype or not spec.accepts_shape(tensor.shape)):
        raise WrongAnswer(
            f"output {spec.name!r}: {tensor.datatype}{list(tensor.shape)} does not fit the model's "
            f"{spec.datatype}{list(spec.shape)}"
        )
    check_data(tensor, f"output {tensor.name!r}")
