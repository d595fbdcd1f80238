"""Manifests for tests: everything that a test does not care about has a value already."""

from gateway.core.datatypes import Datatype
from gateway.core.signatures import Signature, TensorSpec
from model_store.manifest import FORMAT, Manifest, Origin, signature_entry
from model_store.parity.tolerance import Tolerance


def make_manifest(name, inputs, outputs, **changes):
    """A manifest whose inputs and outputs are (name, datatype, shape)."""
    fields = {
        "format": FORMAT,
        "name": name,
        "version": "1",
        "description": "a test's model",
        "license": "Apache-2.0",
        "signature": signature_entry(make_signature(inputs, outputs)),
        "max_batch_size": 8,
        "preprocessing": (),
        "postprocessing": (),
        "labels": None,
        "origin": Origin("onnx", "a test's model"),
        "artifacts": {},
        "failed": {},
        "tolerance": Tolerance(),
        "parity": {},
        "metrics": {},
        "samples": (),
        "files": {},
        "tools": {},
        "created": "2026-01-01T00:00:00Z",
        "build_key": "test",
    }
    return Manifest(**fields | changes)


def make_signature(inputs, outputs):
    """A signature of (name, datatype, shape); a datatype may be its name."""
    sides = [
        tuple(TensorSpec(name, Datatype(datatype), tuple(shape)) for name, datatype, shape in entries)
        for entries in (inputs, outputs)
    ]
    return Signature(*sides)
