from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.manifests import make_signature

from gateway.codecs.torchserve_payload import WHOLE_BODIES
from loadtest.errors import BadSpec, PayloadError, Unusable
from loadtest.payloads.sources import workload_of
from loadtest.payloads.workload import MeasuredModel, Workload
from model_store.store import ModelStore


def labels(workload: Workload) -> list[tuple[str, str]]:
    return [(payload.model.name, payload.label) for payload in workload.payloads]


def told(name: str, version: str) -> MeasuredModel:
    if name != "remote":
        raise Unusable(f"no model {name}")
    return MeasuredModel(name, version, make_signature([("q", "INT64", (-1, -1))], [("y", "FP32", (-1,))]), "", {})


def test_the_manifests_samples_by_default(store: ModelStore) -> None:
    workload = workload_of("floats", store)
    assert labels(workload) == [("floats", "first"), ("floats", "second")]
    assert [payload.weight for payload in workload.payloads] == [0.5, 0.5]
    assert workload.payloads[0].request.version == ""
    assert workload_of("floats/1", store).payloads[0].request.version == "1"


def test_samples_in_batches(store: ModelStore) -> None:
    first, second = workload_of("floats", store, batch=3).payloads
    assert first.request.inputs[0].to_numpy()[:, 0].tolist() == [1, 0, 1]
    assert (second.label, second.rows) == ("second ×3", 3)


def test_random_ones_follow_the_seed(store: ModelStore) -> None:
    def data(seed: int) -> list[Any]:
        return [payload.request.inputs for payload in workload_of("floats", store, ["random:3"], seed=seed).payloads]

    assert len(data(1)) == 3
    assert data(1) == data(1)
    assert data(1) != data(2)


def test_random_ones_of_a_shape_and_in_batches(store: ModelStore) -> None:
    workload = workload_of("pair", store, ["random:2"], batch=2, shapes=["ids:1x7", "mask:1x7"])
    assert [[tensor.shape for tensor in payload.request.inputs] for payload in workload.payloads] == [[(2, 7)] * 2] * 2


def test_files_of_several_kinds_together(store: ModelStore, tmp_path: Path) -> None:
    np.save(tmp_path / "mine.npy", np.zeros((2, 4), np.float32))
    workload = workload_of("floats", store, ["manifest", str(tmp_path / "mine.npy"), "random:1"])
    assert [label for _, label in labels(workload)] == ["first", "second", "mine.npy", "random 1"]
    assert [payload.rows for payload in workload.payloads] == [1, 1, 2, 1]


def test_a_weighted_mix(store: ModelStore, picture: Path) -> None:
    workload = workload_of("floats:3,pictures:1", store, [f"pictures={picture}"])
    assert labels(workload) == [("floats", "first"), ("floats", "second"), ("pictures", "grey.png")]
    assert [payload.weight for payload in workload.payloads] == [0.375, 0.375, 0.25]
    assert workload.name == "floats+pictures"


def test_what_is_for_all_models_of_a_mix(store: ModelStore) -> None:
    workload = workload_of("floats,pair", store, ["random:1", "pair=manifest"])
    assert labels(workload) == [("floats", "random 1"), ("pair", "random 1"), ("pair", "both")]
    with pytest.raises(BadSpec, match=r"payload 'x\.npy': which of the models floats, pair is it for"):
        workload_of("floats,pair", store, ["x.npy"])


def test_a_file_whose_name_has_an_equals_sign(store: ModelStore, tmp_path: Path) -> None:
    np.save(tmp_path / "a=b.npy", np.zeros((1, 4), np.float32))
    assert labels(workload_of("floats", store, [str(tmp_path / "a=b.npy")])) == [("floats", "a=b.npy")]


def test_model_in_no_store_is_described_by_its_server(store: ModelStore) -> None:
    workload = workload_of("remote/5", store, shapes=["q:1x3"], describe=told)
    assert [payload.request.inputs[0].shape for payload in workload.payloads] == [(1, 3)] * 8
    assert (workload.models[0].version, workload.payloads[0].request.version) == ("5", "5")
    with pytest.raises(PayloadError, match="model remote is in no store, so there are no samples"):
        workload_of("remote", store, ["manifest"], describe=told)
    with pytest.raises(Unusable, match="no model other"):
        workload_of("other", store, describe=told)
    with pytest.raises(PayloadError, match="model 'remote' is not in the store"):
        workload_of("remote", store)


def test_model_that_nothing_describes_needs_files(store: ModelStore, picture: Path) -> None:
    def whole(name: str, version: str) -> MeasuredModel:
        return MeasuredModel(name, version, WHOLE_BODIES, "", {})

    assert labels(workload_of("mine", store, [str(picture)], describe=whole)) == [("mine", "grey.png")]
    with pytest.raises(PayloadError, match="nothing tells what model mine takes, so give its payloads as files"):
        workload_of("mine", store, describe=whole)


@pytest.mark.parametrize(
    ("models", "payloads", "options", "error", "reason"),
    [
        ("floats:0", [], {}, BadSpec, "weights above 0"),
        ("floats/9", [], {}, PayloadError, "has no version '9'"),
        ("nothing", [], {}, PayloadError, "model 'nothing' is not in the store"),
        ("bare", [], {}, PayloadError, "lists no samples"),
        ("floats", [""], {}, BadSpec, "payload '': manifest, random or a file is expected"),
        ("floats", ["floats="], {}, BadSpec, "payload 'floats=': manifest, random or a file is expected"),
        ("floats", ["random:0"], {}, BadSpec, "random:COUNT"),
        ("floats", ["nowhere.npy"], {}, PayloadError, r"nowhere\.npy cannot be read as a payload: No such file"),
        ("floats", [], {"batch": 9}, PayloadError, "takes at most 8 rows"),
        ("floats", ["random"], {"batch": 9}, PayloadError, "takes at most 8 rows"),
        ("floats", [], {"batch": 0}, PayloadError, "a batch of 0 rows"),
        ("floats", [], {"shapes": ["x:1x4"]}, BadSpec, "no model with random payloads has such an input"),
        ("floats", ["random"], {"shapes": ["z:1x4"]}, BadSpec, r"shape of 'z': .*they have \['x'\]"),
        ("floats", ["random"], {"shapes": ["x"]}, BadSpec, "shape 'x' cannot be read"),
    ],
)
def test_what_cannot_be_done(
    models: str, payloads: list[str], options: dict[str, Any], error: type[Exception], reason: str, store: ModelStore
) -> None:
    with pytest.raises(error, match=reason):
        workload_of(models, store, payloads, **options)


def test_file_with_more_rows_than_the_model_takes(store: ModelStore, tmp_path: Path) -> None:
    np.save(tmp_path / "nine.npy", np.zeros((9, 4), np.float32))
    with pytest.raises(PayloadError, match="model floats takes at most 8 rows in a request, not 9"):
        workload_of("floats", store, [str(tmp_path / "nine.npy")])


def test_damaged_manifest(store: ModelStore) -> None:
    (store.get("floats").directory / "manifest.json").write_text("{")
    with pytest.raises(PayloadError, match=r"manifest\.json"):
        workload_of("floats", store)
