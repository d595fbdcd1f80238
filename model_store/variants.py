"""Other precisions of a built model: half-precision floats, and 8-bit integers.

A variant is a model of its own in the store, ``<name>-fp16`` or ``<name>-int8``: it is made from the model's ONNX file,
proven against the *original's* answers with a tolerance of its own, and served, routed and load-tested like any other.
Its inputs and outputs keep their datatypes, so that a client need not know.
"""

from __future__ import annotations

from collections.abc import Mapping

from model_store.errors import BuildFailed
from model_store.parity.tolerance import FP16_VARIANT, INT8_VARIANT, Tolerance
from model_store.recipe import Variant
from model_store.routes import ONNX
from model_store.store import StoredModel

TOLERANCES: Mapping[str, Tolerance] = {"fp16": FP16_VARIANT, "int8": INT8_VARIANT}


def variant_of(base: StoredModel, kind: str) -> Variant:
    """The recipe of the variant ``kind`` of a built model.

    Raises:
        BuildFailed: it is a variant already, or has no ONNX file to start from.
    """
    manifest = base.manifest
    if manifest.origin.variant_of:
        raise BuildFailed(f"{manifest.name} is a variant of {manifest.origin.variant_of}: make variants of that one")
    if ONNX not in manifest.artifacts:
        raise BuildFailed(f"{manifest.name} was built without an ONNX file, which a variant is made from")
    return Variant(f"{manifest.name}-{kind}", manifest.version, kind, str(base.directory), manifest.build_key)
