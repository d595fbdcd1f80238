"""Looking models up as the Open Inference Protocol's clients expect it."""

from __future__ import annotations

from gateway.core.catalog import Catalog, ServedModel
from gateway.core.errors import ModelNotFound


def model_called(catalog: Catalog, name: str, version: str = "") -> ServedModel:
    """The model, as ``catalog.get``."""
    try:
        return catalog.get(name, version)
    except ModelNotFound as error:
        raise unknown_model(error) from None


def unknown_model(error: ModelNotFound) -> ModelNotFound:
    """``error`` in Triton's words, for which its example clients look."""
    return ModelNotFound(f"Request for unknown model: {error.message}")


def labels_of(model: ServedModel, output: str) -> tuple[str, ...]:
    """The class names of ``output``: those of the model, where the last dimension may be over them."""
    for spec in model.signature.outputs:
        if spec.name == output and spec.shape and spec.shape[-1] not in (-1, len(model.labels)):
            return ()
    return model.labels
