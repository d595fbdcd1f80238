from __future__ import annotations

import numpy as np
import pytest

from loadtest.errors import PayloadError
from loadtest.payloads.manifest import manifest_payloads, measured_model
from loadtest.payloads.workload import Payload
from model_store.store import ModelStore


def payloads(store: ModelStore, name: str, version: str = "") -> list[Payload]:
    stored = store.get(name)
    return manifest_payloads(stored, measured_model(stored), version)


def test_model_as_its_manifest_describes_it(store: ModelStore) -> None:
    model = measured_model(store.get("floats"))
    assert (model.name, model.version, model.class_output) == ("floats", "1", "y")
    assert model.checksums == {"samples/first.npy": "checksum"}
    assert measured_model(store.get("pair")).class_output == ""


def test_samples_in_the_manifests_order(store: ModelStore) -> None:
    first, second = payloads(store, "floats")
    assert [first.label, second.label] == ["first", "second"]
    assert first.request.inputs[0].to_numpy().tolist() == [[1, 1, 1, 1]]
    assert (first.request.model, first.request.version, first.rows) == ("floats", "", 1)


def test_several_inputs_and_a_version_to_ask_for(store: ModelStore) -> None:
    (both,) = payloads(store, "pair", "3")
    assert [(tensor.name, tensor.to_numpy().tolist()) for tensor in both.request.inputs] == [
        ("ids", [[0, 1, 2, 3, 4]]),
        ("mask", [[1, 1, 1, 1, 1]]),
    ]
    assert both.request.version == "3"


def test_model_without_samples(store: ModelStore) -> None:
    with pytest.raises(PayloadError, match="model bare: its manifest lists no samples; give files, or"):
        payloads(store, "bare")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "model floats: a sample cannot be read: .*second.npy"),
        (b"garbage", "model floats: a sample cannot be read: "),
        (np.zeros((1, 5), np.float32), r"second does not fit model floats: .*shape \[1, 5\]"),
        (np.zeros((1, 4), complex), "sample second of model floats cannot be read: .*complex128"),
    ],
)
def test_sample_that_is_no_good(store: ModelStore, content: object, reason: str) -> None:
    path = store.get("floats").directory / "samples" / "second.npy"
    if content is None:
        path.unlink()
    elif isinstance(content, bytes):
        path.write_bytes(content)
    else:
        np.save(path, content)  # type: ignore[arg-type]
    with pytest.raises(PayloadError, match=reason):
        payloads(store, "floats")
