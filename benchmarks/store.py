"""A model store of the benchmark's own: the same net, allowed more rows in a request."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec

from benchmarks.matrix import MODEL, MOST_ROWS
from model_store.manifest import FILE_NAME
from model_store.store import ModelStore

ARTIFACT = "onnx"


def make_store(source: ModelStore, root: Path) -> ModelStore:
    """A store at ``root`` with nothing but ``MODEL`` of ``source`` in it, which takes ``MOST_ROWS`` rows.

    Raises:
        StoreError: it is not built.
    """
    built = source.get(MODEL)
    target = root / MODEL / built.manifest.version
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(built.directory, target)
    path = target / FILE_NAME
    manifest = msgspec.json.decode(path.read_bytes())
    path.write_bytes(msgspec.json.encode(manifest | {"max_batch_size": MOST_ROWS}))
    return ModelStore(root)
