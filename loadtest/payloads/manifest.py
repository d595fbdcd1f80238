"""A model of the store, and the payloads that were built with it: real pictures, texts and rows, as tensors."""

from __future__ import annotations

from gateway.core.errors import InvalidRequest
from loadtest.errors import PayloadError
from loadtest.payloads.making import make_payload, tensors_for
from loadtest.payloads.workload import MeasuredModel, Payload
from model_store.store import StoredModel


def measured_model(stored: StoredModel) -> MeasuredModel:
    """The built model ``stored``."""
    manifest = stored.manifest
    return MeasuredModel(
        name=manifest.name,
        version=manifest.version,
        signature=manifest.model_signature(),
        class_output=manifest.scores_output or "",
        checksums=manifest.checksums(),
        tolerance=manifest.tolerance,
    )


def manifest_payloads(stored: StoredModel, model: MeasuredModel, version: str) -> list[Payload]:
    """The samples that the manifest lists, in its order; ``version`` is the one to ask for, empty for the default.

    Raises:
        PayloadError: there are none, or one cannot be read or does not fit.
    """
    payloads: list[Payload] = []
    try:
        samples = stored.samples()
    except (OSError, ValueError, KeyError) as error:
        raise PayloadError(f"model {model.name}: a sample cannot be read: {error}") from None
    for name, arrays in samples.items():
        label = f"sample {name}"
        try:
            tensors = tensors_for(model, arrays)
        except InvalidRequest as error:
            raise PayloadError(f"{label} of model {model.name} cannot be read: {error.message}") from None
        payloads.append(make_payload(model, version, tensors, name))
    if not payloads:
        raise PayloadError(f"model {model.name}: its manifest lists no samples; give files, or: --payload random")
    return payloads
