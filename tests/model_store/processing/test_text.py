import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.tokenizers import write_tokenizer

from model_store.errors import CorruptArtifact, InvalidText, MissingPackage
from model_store.processing import text as module
from model_store.processing.steps import Tokenize
from model_store.processing.text import TextEncoder, check_text, decode_text

STEP = Tokenize("tokenizer.json", max_length=4, ids="ids", mask="mask", types="types")


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return write_tokenizer(tmp_path_factory.mktemp("model") / "tokenizer.json").parent


@pytest.fixture(scope="module")
def encode(directory):
    return TextEncoder(STEP, directory)


def test_texts_are_cut_and_padded_to_the_longest(encode):
    found = encode(["Hello", "hello brave world gateway"])
    assert found["ids"].tolist() == [[2, 4, 3, 0], [2, 4, 1, 3]]
    assert found["mask"].tolist() == [[1, 1, 1, 0], [1, 1, 1, 1]]
    assert found["types"].tolist() == [[0] * 4] * 2
    assert {array.dtype for array in found.values()} == {np.dtype(np.int64)}


def test_the_padding_is_that_of_the_batch_and_not_of_the_one_before(encode):
    assert encode(["hello world gateway"])["ids"].shape == (1, 4)
    assert encode([""])["ids"].tolist() == [[2, 3]]


def test_only_the_named_inputs_in_the_named_datatype(directory):
    step = Tokenize("tokenizer.json", max_length=6, ids="tokens", datatype="INT32", padding="max_length", pad="[UNK]")
    found = TextEncoder(step, directory)(["hello"])
    assert found.keys() == {"tokens"}
    assert found["tokens"].dtype == np.int32
    assert found["tokens"].tolist() == [[2, 4, 3, 1, 1, 1]]


@given(texts=st.lists(st.text(), min_size=1, max_size=5))
def test_a_text_gives_the_same_tokens_alone_and_in_a_batch(encode, texts):
    texts = [text.encode("utf-8", "replace").decode() for text in texts]
    together = encode(texts)
    assert len({array.shape for array in together.values()}) == 1
    for index, text in enumerate(texts):
        length = together["mask"][index].sum()
        assert encode([text])["ids"][0].tolist() == together["ids"][index, :length].tolist()


@pytest.mark.parametrize(
    ("changes", "fills"),
    [({}, {"ids": 0, "mask": 0, "types": 0}), ({"pad": "[UNK]", "types": None}, {"ids": 1, "mask": 0})],
)
def test_what_fills_up_a_short_row(directory, changes, fills):
    step = Tokenize("tokenizer.json", **({"max_length": 6, "ids": "ids", "mask": "mask", "types": "types"} | changes))
    assert TextEncoder(step, directory).fills() == (fills, False)


@pytest.mark.parametrize("changes", [{"mask": None}, {"padding": "max_length"}])
def test_nothing_does_without_a_mask_or_with_one_length(directory, changes):
    step = Tokenize("tokenizer.json", **({"max_length": 6, "ids": "ids", "mask": "mask"} | changes))
    assert TextEncoder(step, directory).fills() == ({}, False)


def test_texts_without_a_token_are_refused(tmp_path):
    from tokenizers import Tokenizer, models, pre_tokenizers

    tokenizer = Tokenizer(models.WordLevel({"[PAD]": 0, "[UNK]": 1}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    encode = TextEncoder(STEP, tmp_path)
    assert encode(["", "a"])["ids"].tolist() == [[0], [1]]
    with pytest.raises(InvalidText, match="no tokens"):
        encode(["", " "])


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b'{"model": {"type": "BPE"}}', b"\xff"])
def test_a_damaged_tokenizer_is_one_sentence(tmp_path, content):
    (tmp_path / "tokenizer.json").write_bytes(content)
    with pytest.raises(CorruptArtifact, match=r"tokenizer\.json is no tokenizer that can be read \(.+\)"):
        TextEncoder(STEP, tmp_path)


def test_a_missing_tokenizer_is_named(tmp_path):
    with pytest.raises(CorruptArtifact, match=r"tokenizer\.json: No such file"):
        TextEncoder(STEP, tmp_path)


def test_a_step_that_does_not_fit_the_tokenizer_is_explained(directory):
    with pytest.raises(CorruptArtifact, match=r"no token '<pad>' to pad with"):
        TextEncoder(Tokenize("tokenizer.json", 4, "ids", pad="<pad>"), directory)
    with pytest.raises(CorruptArtifact, match="max_length 2 leaves no room beside the tokenizer's 2 special tokens"):
        TextEncoder(Tokenize("tokenizer.json", 2, "ids"), directory)


def test_a_missing_package_is_named_with_the_command_that_installs_it(monkeypatch, directory):
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(MissingPackage, match=r"pip install 'serving-gateway\[text\]'"):
        TextEncoder(STEP, directory)


def test_raw_text_is_utf_8_of_bounded_length(monkeypatch):
    assert decode_text("schön".encode()) == "schön"
    with pytest.raises(InvalidText, match=r"not UTF-8 \(byte 1\)"):
        decode_text(b"a\xff")
    with pytest.raises(InvalidText, match=r"not valid Unicode \(character 1\)"):
        check_text("a\ud800")
    monkeypatch.setattr(module, "MAX_CHARACTERS", 3)
    with pytest.raises(InvalidText, match="4 characters are over the limit of 3"):
        decode_text(b"four")
