from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.manifests import make_signature

from gateway.codecs import oip_http
from gateway.codecs.torchserve_payload import WHOLE_BODIES
from gateway.core.messages import InferRequest, RequestContext
from gateway.core.tensors import Tensor
from loadtest.errors import PayloadError
from loadtest.payloads.files import file_payloads
from loadtest.payloads.manifest import measured_model
from loadtest.payloads.workload import MeasuredModel, Payload
from model_store.processing.processor import Processor
from model_store.store import ModelStore


def model(*inputs: tuple[str, str, tuple[int, ...]]) -> MeasuredModel:
    return MeasuredModel("m", "1", make_signature(inputs, [("y", "FP32", (-1,))]), "", {})


ONE = model(("x", "FP32", (-1, 2)))
TWO = model(("a", "INT64", (-1, 2)), ("b", "BYTES", (-1,)))


def read(path: Path, of: MeasuredModel = ONE) -> list[Payload]:
    return file_payloads(path, of, "", None)


def values(payload: Payload) -> dict[str, Any]:
    return {tensor.name: tensor.to_numpy().tolist() for tensor in payload.request.inputs}


def test_npy_is_the_only_input(tmp_path: Path) -> None:
    np.save(tmp_path / "rows.npy", np.array([[1, 2], [3, 4]], np.float32))
    (payload,) = read(tmp_path / "rows.npy")
    assert (values(payload), payload.label, payload.rows) == ({"x": [[1, 2], [3, 4]]}, "rows.npy", 2)


def test_npz_has_one_array_an_input(tmp_path: Path) -> None:
    np.savez(tmp_path / "both.npz", b=np.array(["ä"]), a=np.array([[1, 2]]))
    (payload,) = read(tmp_path / "both.npz", TWO)
    assert values(payload) == {"a": [[1, 2]], "b": ["ä".encode()]}
    assert [tensor.name for tensor in payload.request.inputs] == ["a", "b"]


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"instances": [[1, 2], [3, 4]]}, [[1, 2], [3, 4]]),
        ({"instances": [{"x": [1, 2]}]}, [[1, 2]]),
        ({"inputs": [[1.5, 2]]}, [[1.5, 2]]),
        ({"inputs": {"x": [[1, 2]]}, "signature_name": "serving_default"}, [[1, 2]]),
        ({"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1, 2]}]}, [[1, 2]]),
        ([[1, 2]], [[1, 2]]),
        ([1, 2], [[1, 2]]),
    ],
)
def test_json_of_every_protocol(document: Any, expected: Any, tmp_path: Path) -> None:
    (tmp_path / "d.json").write_text(json.dumps(document))
    (payload,) = read(tmp_path / "d.json")
    assert (values(payload), payload.label) == ({"x": expected}, "d.json")


def test_oip_document_with_several_inputs(tmp_path: Path) -> None:
    inputs = (Tensor.from_numpy("b", np.array(["z"], object)), Tensor.from_numpy("a", np.array([[7, 8]])))
    body, _ = oip_http.encode_request(InferRequest("other", inputs, RequestContext("test")), binary=False)
    (tmp_path / "d.json").write_bytes(body)
    (payload,) = read(tmp_path / "d.json", TWO)
    assert values(payload) == {"a": [[7, 8]], "b": [b"z"]}
    assert payload.request.model == "m"


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("d.json", b"", "cannot be read as a payload: JSON: "),
        ("d.json", b"\xff", "cannot be read as a payload: JSON: "),
        ("d.json", b"1", "cannot be read as a payload: JSON: "),
        ("d.json", b"{}", "Missing 'inputs' or 'instances'"),
        ("d.json", b'{"instances": [["a"]]}', r"instances\['x'\]: "),
        ("d.json", b'{"instances": [[1, 2, 3]]}', r"does not fit model m: .*shape \[1, 3\]"),
        ("d.json", b'{"instances": [[1, 2]], "signature_name": "other"}', "signature_name 'other' cannot be measured"),
        ("d.json", b'{"inputs": [{"name": "x", "datatype": "FP99", "shape": [1]}]}', "unknown datatype 'FP99'"),
        ("d.json", b"[" * 200, "nested deeper"),
        ("a.npy", b"garbage", "cannot be read as a payload: "),
        ("a.npz", b"PK\x03\x04garbage", "cannot be read as a payload: "),
        ("a.npy", b"", "cannot be read as a payload: "),
        ("a.png", b"", "model m takes tensors, not pictures such as .png"),
        ("a.txt", b"hello", "model m takes tensors, not texts such as .txt"),
        ("a.exe", b"", r"\.exe is no kind of payload"),
        ("a", b"", "a name without an ending is no kind of payload"),
    ],
)
def test_file_that_is_no_good_is_named(name: str, content: bytes, reason: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(PayloadError, match=reason) as caught:
        read(path)
    assert str(caught.value).startswith(str(path))


def test_arrays_that_are_not_the_models(tmp_path: Path) -> None:
    np.save(tmp_path / "pickled.npy", np.array([{}], object))
    np.save(tmp_path / "double.npy", np.zeros((1, 2)))
    np.save(tmp_path / "complex.npy", np.zeros((1, 2), complex))
    np.savez(tmp_path / "other.npz", z=np.zeros((1, 2), np.float32))
    (tmp_path / "other.npz").rename(tmp_path / "other.npy")
    np.save(tmp_path / "single.npy", np.zeros((1, 2), np.float32))
    (tmp_path / "single.npy").rename(tmp_path / "single.npz")
    np.savez(tmp_path / "named.npz", z=np.zeros((1, 2), np.float32))
    for name, reason in {
        "pickled.npy": "cannot be read as a payload: ",
        "double.npy": "datatype FP64 does not match the model's FP32",
        "complex.npy": "complex128",
        "other.npy": "must be called .npz",
        "single.npz": "must be called .npy",
        "named.npz": "unknown input 'z'; the model takes",
        "missing.npy": "No such file",
    }.items():
        with pytest.raises(PayloadError, match=f"{name}.*{reason}"):
            read(tmp_path / name)


def test_a_model_of_several_inputs_wants_them_named(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((1, 2)))
    (tmp_path / "a.json").write_text("[[1, 2]]")
    for name in ("a.npy", "a.json"):
        with pytest.raises(PayloadError, match=r"model m takes the inputs \['a', 'b'\]: name them"):
            read(tmp_path / name, TWO)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(ending=st.sampled_from([".npy", ".npz", ".json"]), at=st.integers(0, 10**6), byte=st.integers(0, 255))
def test_a_damaged_file_is_a_payload_or_an_error(ending: str, at: int, byte: int, tmp_path: Path) -> None:
    path = tmp_path / f"damaged{ending}"
    array = np.ones((1, 2), np.float32)
    if ending == ".json":
        path.write_text(json.dumps({"instances": array.tolist()}))
    elif ending == ".npy":
        np.save(path, array)
    else:
        np.savez_compressed(path, x=array)
    content = bytearray(path.read_bytes())
    content[at % len(content)] = byte
    path.write_bytes(content)
    try:
        (payload,) = read(path)
        assert payload.request.inputs[0].shape[1:] == (2,)
    except PayloadError as error:
        assert str(error).startswith(str(path))


def test_pictures_are_prepared_as_the_manifest_says(store: ModelStore, picture: Path) -> None:
    stored = store.get("pictures")
    processor = Processor(stored.directory, stored.manifest)
    (payload,) = file_payloads(picture, measured_model(stored), "1", processor)
    assert (payload.label, payload.rows, payload.request.version) == ("grey.png", 1, "1")
    assert values(payload) == {"x": [[128, 128, 128, 128]]}
    broken = picture.with_name("broken.png")
    broken.write_bytes(b"no picture")
    with pytest.raises(PayloadError, match=r"broken\.png cannot be read as a payload: .*not a picture"):
        file_payloads(broken, measured_model(stored), "", processor)
    with pytest.raises(PayloadError, match="takes pictures, not texts"):
        file_payloads(broken.with_suffix(".txt"), measured_model(stored), "", processor)


def test_each_line_of_a_text_is_a_payload(tmp_path: Path) -> None:
    class Letters:
        takes = "texts"

        def from_texts(self, texts: list[str]) -> dict[str, np.ndarray]:
            return {"x": np.array([[len(text), 0] for text in texts], np.float32)}

    (tmp_path / "t.txt").write_text("hello\n\nyou\n")
    first, second = file_payloads(tmp_path / "t.txt", ONE, "", Letters())  # type: ignore[arg-type]
    assert (first.label, values(first)) == ("t.txt line 1", {"x": [[5, 0]]})
    assert (second.label, values(second)) == ("t.txt line 3", {"x": [[3, 0]]})
    (tmp_path / "t.txt").write_text("\n")
    with pytest.raises(PayloadError, match=r"t\.txt cannot be read as a payload: no line of text"):
        file_payloads(tmp_path / "t.txt", ONE, "", Letters())  # type: ignore[arg-type]
    (tmp_path / "t.txt").write_bytes(b"\xff")
    with pytest.raises(PayloadError, match=r"t\.txt cannot be read as a payload: .*utf-8"):
        file_payloads(tmp_path / "t.txt", ONE, "", Letters())  # type: ignore[arg-type]


def test_a_folder_is_all_its_files(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    (folder / "inner").mkdir(parents=True)
    (folder / ".hidden").write_text("")
    for name in ("b", "a"):
        np.save(folder / f"{name}.npy", np.zeros((1, 2), np.float32))
    assert [payload.label for payload in read(folder)] == ["a.npy", "b.npy"]
    with pytest.raises(PayloadError, match="inner is a folder without files"):
        read(folder / "inner")


def test_where_nothing_describes_the_model_files_go_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "cat.jpg").write_bytes(b"\xff\xd8")
    (tmp_path / "raw").write_bytes(b"")
    picture, raw = read(tmp_path, MeasuredModel("m", "", WHOLE_BODIES, "", {}))
    assert values(picture) == {"body": [b"\xff\xd8"]}
    assert (picture.label, picture.request.parameters) == ("cat.jpg", {"content_type": "image/jpeg"})
    assert (values(raw), raw.request.parameters) == ({"body": [b""]}, {})
