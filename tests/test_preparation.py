"""The store's preprocessing, as the data plane sees it."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.tiny_store import make_raw_store, make_sentence, make_store

from gateway.core.errors import InvalidRequest
from gateway.core.padding import Padding
from gateway.preparation import padding, preparation
from model_store.processing.processor import Processor
from model_store.store import ModelStore


@pytest.fixture
def store(tmp_path):
    return ModelStore(make_sentence(make_raw_store(make_store(tmp_path))))


def processor(store, name):
    model = store.get(name)
    return Processor(model.directory, model.manifest)


@pytest.fixture
def pool():
    with ThreadPoolExecutor(1, thread_name_prefix="prepare") as made:
        yield made


def test_a_model_of_tensors_has_none(store, pool):
    assert preparation(processor(store, "double"), pool) is None


def test_elements_become_tensors_in_another_thread(store, pool, monkeypatch):
    threads = []
    make = Processor.from_raw

    def noting(self, elements):
        threads.append(threading.current_thread().name)
        return make(self, elements)

    monkeypatch.setattr(Processor, "from_raw", noting)
    tensors = asyncio.run(preparation(processor(store, "text"), pool)([b"hello"]))
    assert {tensor.name: tensor.to_numpy().tolist() for tensor in tensors} == {"ids": [[2, 4, 3]], "mask": [[1, 1, 1]]}
    assert threads == ["prepare_0"]


def test_an_element_that_cannot_be_used_is_the_requests_fault(store, pool):
    with pytest.raises(InvalidRequest, match="element 1: it is not UTF-8"):
        asyncio.run(preparation(processor(store, "text"), pool)([b"a", b"\xff"]))


def test_a_tokenizer_is_opened_at_the_start_and_not_again(store, pool):
    model = store.get("text")
    prepare = preparation(Processor(model.directory, model.manifest), pool)
    (model.directory / "tokenizer.json").unlink()
    assert len(asyncio.run(prepare([b"hello"]))) == 2


def test_texts_of_several_lengths_may_be_joined_where_the_manifest_allows_it(store):
    assert padding(processor(store, "sentence")) == Padding({"ids": 0, "mask": 0})
    assert padding(processor(store, "text")) is None, "its answers are as long as the texts"
    assert padding(processor(store, "double")) is None
