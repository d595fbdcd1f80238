"""The model under test and the inputs it is measured with: the samples that were built with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gateway.core.errors import InvalidRequest
from gateway.core.messages import InferRequest, RequestContext
from gateway.core.signatures import Signature
from gateway.core.tensors import Tensor
from model_store.store import StoredModel


class SamplesError(Exception):
    """The model cannot be measured with the samples it has; the message names the model and the sample."""


@dataclass(slots=True, frozen=True)
class MeasuredModel:
    """A model and the requests it is measured with, one for each sample.

    Attributes:
        class_output: the output whose greatest element is the predicted class; empty when it does not classify.
    """

    name: str
    version: str
    signature: Signature
    class_output: str
    requests: tuple[InferRequest, ...]


def measured_model(stored: StoredModel) -> MeasuredModel:
    """The built model ``stored`` with its samples, all checked against its signature.

    Raises:
        SamplesError: it has no samples, or one that cannot be read or does not fit.
    """
    manifest = stored.manifest
    signature = manifest.model_signature()
    try:
        samples = stored.samples()
    except (OSError, ValueError) as error:
        raise SamplesError(f"model {manifest.name}: a sample cannot be read: {error}") from None
    if not samples:
        raise SamplesError(f"model {manifest.name}: its manifest lists no samples (.npy) to measure with")
    requests = {name: _request(manifest.name, arrays) for name, arrays in samples.items()}
    for name, request in requests.items():
        try:
            signature.check_inputs(request.inputs)
        except InvalidRequest as error:
            raise SamplesError(f"model {manifest.name}: sample {name} does not fit it: {error.message}") from None
    return MeasuredModel(
        name=manifest.name,
        version=manifest.version,
        signature=signature,
        class_output=manifest.scores_output or "",
        requests=tuple(requests.values()),
    )


def _request(model: str, arrays: Mapping[str, npt.NDArray[np.generic]]) -> InferRequest:
    inputs = tuple(Tensor.from_numpy(name, array) for name, array in arrays.items())
    return InferRequest(model=model, inputs=inputs, context=RequestContext(protocol="loadtest"))
