import json
import zipfile

import pytest

from model_store.engines import open_engine
from model_store.engines.archive import unpack, write_settings
from model_store.errors import EngineError


def members(path):
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_only_models_are_unpacked(model, tmp_path):
    model(**{"program_pt2": b"p", "../evil_py": b"e", "entry_py": b"x"})
    target = tmp_path / "target"
    target.mkdir()
    unpack(tmp_path / "m.mar", target)
    assert [path.name for path in target.iterdir()] == ["program.pt2"]
    assert not (tmp_path / "evil.py").exists()


def test_a_zip_bomb_is_refused_before_it_is_unpacked(model, tmp_path):
    manifest = model(model_onnx=bytes(80 << 20))
    with pytest.raises(EngineError, match=r"m\.mar: \d+ bytes would unpack into \d+: that is no model but a zip bomb"):
        open_engine("pytorch", tmp_path, manifest, device="cpu")


def test_a_size_that_lies_is_not_believed(model, tmp_path):
    """The archive says one byte, its content is eighty million: no more than the byte is ever unpacked."""
    manifest = model(model_onnx=bytes(80 << 20))
    path = tmp_path / "m.mar"
    path.write_bytes(path.read_bytes().replace((80 << 20).to_bytes(4, "little"), (1).to_bytes(4, "little")))
    with pytest.raises(EngineError, match="cannot be loaded"):
        open_engine("pytorch", tmp_path, manifest, device="cpu")


def test_an_archive_without_a_model_is_one_sentence(model, tmp_path):
    with pytest.raises(EngineError, match=r"m\.mar holds none of program\.pt2, script\.pt, model\.onnx"):
        open_engine("pytorch", tmp_path, model(entry_py=b"x"), device="cpu")


def test_settings_are_written_and_the_rest_stays(model, tmp_path):
    model(program_pt2=b"p", aot_pt2=b"a", settings_json=b"old")
    write_settings(tmp_path / "m.mar", {"mode": "aot"})
    assert members(tmp_path / "m.mar") == {
        "program.pt2": b"p",
        "aot.pt2": b"a",
        "settings.json": json.dumps({"mode": "aot"}).encode(),
    }


def test_a_library_that_is_not_used_is_not_shipped(model, tmp_path):
    model(program_pt2=b"p", aot_pt2=b"a")
    write_settings(tmp_path / "m.mar", {})
    assert members(tmp_path / "m.mar") == {"program.pt2": b"p", "settings.json": b"{}"}
