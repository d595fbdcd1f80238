"""Is what a target answers what the model gives? Thoroughly once, and cheaply under load."""

from __future__ import annotations

from gateway.core.errors import GatewayError
from gateway.core.messages import InferResponse
from gateway.core.signatures import Signature
from gateway.core.tensors import check_data
from loadtest.agreement import Outputs
from loadtest.clients import Answer
from loadtest.wires import Line


class WrongAnswer(Exception):
    """A target answers, but not with what the model gives."""


class AnswerCheck:
    """Learns one target's answers to every sample once, then checks the answers under load cheaply."""

    def __init__(self, line: Line, signature: Signature) -> None:
        self._line = line
        self._signature = signature
        self._sizes: list[int] = []
        self._outputs: list[Outputs] = []

    async def learn(self, samples: int) -> tuple[Outputs, ...]:
        """Ask for every sample once; the answers' tensors.

        Raises:
            WrongAnswer: an answer does not fit the signature.
            loadtest.clients.RequestFailed: no answer came.
        """
        for sample in range(samples):
            answer = await self._line.client.send(sample)
            self._outputs.append(self._read(answer))
            self._sizes.append(len(answer.body))
        return tuple(self._outputs)

    def __call__(self, sample: int, answer: Answer) -> bool:
        """Whether the answer has the size of the first one, or at least its tensors' shapes."""
        if len(answer.body) == self._sizes[sample]:
            return True
        try:
            outputs = self._read(answer)
        except WrongAnswer:
            return False
        return all(outputs[name].shape == array.shape for name, array in self._outputs[sample].items())

    def _read(self, answer: Answer) -> Outputs:
        try:
            return _fitting(self._line.decode(answer), self._signature)
        except GatewayError as error:
            raise WrongAnswer(error.message) from None


def _fitting(response: InferResponse, signature: Signature) -> Outputs:
    given = {tensor.name: tensor for tensor in response.outputs}
    for spec in signature.outputs:
        tensor = given.get(spec.name)
        if tensor is None:
            raise WrongAnswer(f"output {spec.name!r} is missing; the answer has {sorted(given)}")
        if tensor.datatype is not spec.datatype or not spec.accepts_shape(tensor.shape):
            raise WrongAnswer(
                f"output {spec.name!r}: {tensor.datatype}{list(tensor.shape)} does not fit the model's "
                f"{spec.datatype}{list(spec.shape)}"
            )
        check_data(tensor, f"output {spec.name!r}")
    return {spec.name: given[spec.name].to_numpy() for spec in signature.outputs}
