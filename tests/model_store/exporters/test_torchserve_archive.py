"""TorchServe archives: what goes in, and what TorchServe is told about it."""

import json
import zipfile

import pytest
import yaml

from model_store.exporters import torchserve
from model_store.exporters.torchserve import worker_settings

INPUTS, OUTPUTS = [("x", "FP32", (-1, 2))], [("y", "FP32", (-1, 2))]


@pytest.mark.parametrize(("largest", "batch"), [(0, 1), (1, 1), (32, 32)])
def test_a_model_without_batches_gets_one_request_at_a_time(largest, batch):
    assert worker_settings(largest)["batchSize"] == batch


def test_a_request_waits_a_millisecond_for_company():
    assert worker_settings(8)["maxBatchDelay"] == 1  # 0 would be taken for unset


def test_the_number_of_workers_is_the_servers():
    assert not {"minWorkers", "maxWorkers"} & worker_settings(8).keys()


@pytest.mark.parametrize(
    ("payload", "place", "name"),
    [
        ("program", "scratch/source/program.pt2", "program.pt2"),
        ("script", "scratch/source/script.pt", "script.pt"),
        ("onnx", "model/onnx/model.onnx", "model.onnx"),
    ],
)
def test_an_archive_holds_payload_handler_signature_and_settings(run_step, work, tmp_path, payload, place, name):
    (tmp_path / place).parent.mkdir(exist_ok=True)
    (tmp_path / place).write_bytes(b"weights")
    run_step(torchserve, payload, inputs=INPUTS, outputs=OUTPUTS, max_batch_size=16)
    with zipfile.ZipFile(work.model / "torchserve" / "tiny.mar") as archive:
        members = set(archive.namelist())
        assert archive.read(name) == b"weights"
        assert json.loads(archive.read("signature.json"))["inputs"][0]["name"] == "x"
        manifest = json.loads(archive.read("MAR-INF/MANIFEST.json"))["model"]
        settings = yaml.safe_load(archive.read(manifest["configFile"]))
    assert (manifest["modelName"], manifest["modelVersion"], manifest["serializedFile"]) == ("tiny", "1", name)
    assert settings == worker_settings(16)
    assert {"entry.py", "oip_handler/handler.py", "oip_handler/wire.py"} <= members
    assert not any("__pycache__" in member for member in members)
    assert [path.name for path in (work.model / "torchserve").iterdir()] == ["tiny.mar"]


def test_a_second_route_replaces_the_archive_of_the_first(run_step, work):
    for name, payload in (("program.pt2", "program"), ("script.pt", "script")):
        (work.frozen / name).write_bytes(payload.encode())
        run_step(torchserve, payload, inputs=INPUTS, outputs=OUTPUTS)
    with zipfile.ZipFile(work.model / "torchserve" / "tiny.mar") as archive:
        assert archive.read("script.pt") == b"script"
        assert "program.pt2" not in archive.namelist()
