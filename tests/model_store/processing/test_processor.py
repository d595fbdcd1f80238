import io
import sys

import numpy as np
import pytest
from PIL import Image
from support.manifests import make_manifest
from support.tokenizers import write_tokenizer

from model_store.errors import CorruptArtifact, InvalidImage, InvalidText
from model_store.processing.processor import Processor
from model_store.processing.scores import Class
from model_store.processing.steps import Decode, Layout, Resize, Softmax, Tokenize, TopK

OUTPUTS = [("y", "FP32", (-1, 2))]


def png(value, size=(3, 2)):
    buffer = io.BytesIO()
    Image.new("L", size, value).save(buffer, "PNG")
    return buffer.getvalue()


def pictures(tmp_path, datatype="FP32", *more):
    return Processor(
        tmp_path,
        make_manifest(
            "m", [("x", datatype, (-1, 1, -1, -1))], OUTPUTS, preprocessing=(Decode("L"), *more, Layout("CHW"))
        ),
    )


@pytest.fixture
def texts(tmp_path):
    write_tokenizer(tmp_path / "tokenizer.json")
    # The order of the model's inputs is not that of the step.
    inputs = [("mask", "INT64", (-1, -1)), ("ids", "INT64", (-1, -1))]
    step = Tokenize("tokenizer.json", max_length=8, ids="ids", mask="mask")
    return Processor(tmp_path, make_manifest("m", inputs, OUTPUTS, preprocessing=(step,)))


@pytest.fixture
def tensors(tmp_path):
    return Processor(tmp_path, make_manifest("m", [("x", "FP32", (-1, 2))], OUTPUTS))


def test_pictures_become_one_batch_in_the_inputs_datatype(tmp_path):
    (tmp_path / "p.png").write_bytes(png(7))
    for datatype, dtype in (("FP32", np.float32), ("FP16", np.float16), ("UINT8", np.uint8)):
        processor = pictures(tmp_path, datatype)
        assert processor.takes == "pictures"
        (array,) = processor.from_pictures([tmp_path / "p.png", png(8)]).values()
        assert (array.dtype, array.shape) == (dtype, (2, 1, 2, 3))
        assert array[:, 0, 0, 0].tolist() == [7, 8]
        np.testing.assert_array_equal(processor.from_raw([png(7), png(8)])["x"], array)


def test_a_bad_picture_is_named(tmp_path):
    processor = pictures(tmp_path)
    with pytest.raises(InvalidImage, match=r"^element 1: the given 4 bytes is not a picture"):
        processor.from_raw([png(1), b"nope"])
    with pytest.raises(InvalidImage, match=r"^/.*gone\.png: no such file"):
        processor.from_pictures([tmp_path / "gone.png"])


def test_pictures_of_different_sizes_need_a_resize(tmp_path):
    sizes = [png(1), png(1, (5, 5))]
    with pytest.raises(InvalidImage, match="different sizes"):
        pictures(tmp_path).from_raw(sizes)
    assert pictures(tmp_path, "FP32", Resize(2, 2)).from_raw(sizes)["x"].shape == (2, 1, 2, 2)


def test_texts_become_one_batch_in_the_models_order(texts):
    assert texts.takes == "texts"
    found = texts.from_texts(["hello", "hello world"])
    assert [*found] == ["mask", "ids"]
    assert found["ids"].tolist() == [[2, 4, 3, 0], [2, 4, 5, 3]]
    again = texts.from_raw([b"hello", b"hello world"])
    assert all((again[name] == found[name]).all() for name in found)


def test_a_bad_text_is_named(texts):
    with pytest.raises(InvalidText, match=r"^element 1: it is not UTF-8"):
        texts.from_raw([b"a", b"\xff"])
    with pytest.raises(InvalidText, match=r"^element 1: it is not valid Unicode"):
        texts.from_texts(["a", "\ud800"])
    with pytest.raises(InvalidText, match=r"^it is not valid Unicode"):
        texts.from_texts(["\ud800"])


def test_a_model_says_what_it_takes(tmp_path, texts, tensors):
    with pytest.raises(InvalidImage, match="takes texts, not pictures"):
        texts.from_pictures([png(1)])
    with pytest.raises(InvalidText, match="takes pictures, not texts"):
        pictures(tmp_path).from_texts(["a"])
    with pytest.raises(InvalidText, match="takes tensors, not texts"):
        tensors.from_texts(["a"])
    with pytest.raises(InvalidImage, match="takes tensors, not pictures"):
        tensors.from_raw([b""])


def test_loading_opens_the_tokenizer_and_nothing_else_does(tmp_path, texts, tensors, monkeypatch):
    (tmp_path / "tokenizer.json").unlink()
    with pytest.raises(CorruptArtifact, match="No such file"):
        texts.load()
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    tensors.load()
    pictures(tmp_path).load()


def test_outputs_become_classes_with_labels(tmp_path, tensors):
    (tmp_path / "labels.txt").write_text("no\nyes\n")
    outputs = {"y": np.array([[0, 0], [0, 100]], np.float32)}
    manifest = make_manifest(
        "m", [("x", "FP32", (-1, 2))], OUTPUTS, postprocessing=(Softmax("y"), TopK("y", 1)), labels="labels.txt"
    )
    assert Processor(tmp_path, manifest).top_classes(outputs) == [[Class(0, "no", 0.5)], [Class(1, "yes", 1.0)]]
    assert tensors.top_classes(outputs) == []
