"""The shipped models as they are built: in every engine, and when they are damaged."""

import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest
from rich.console import Console

from gateway.core.datatypes import Datatype
from model_store.build import build
from model_store.engines import ENGINES, open_engine
from model_store.errors import CorruptArtifact, EngineError, ParityFailed
from model_store.manifest import Artifact, checksums, load_manifest, save_manifest, verify_checksums
from model_store.processing.image import preprocess
from model_store.processing.steps import takes
from model_store.processing.text import TextEncoder
from model_store.recipe import Shipped
from model_store.steps import Progress
from model_store.store import ModelStore, StoredModel
from model_store.verify import verify

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

FRAMEWORKS = {
    "digits-forest": "scikit-learn",
    "digits-keras": "keras",
    "digits-mlp": "pytorch",
    "efficientnet-lite0": "pytorch",
    "minilm": "pytorch",
}
DIGITS = [name for name in FRAMEWORKS if name.startswith("digits")]
CAT = 285


@pytest.fixture(scope="module")
def store(model_store_root):
    return ModelStore(model_store_root)


@pytest.fixture(scope="module")
def engines(store):
    models = {name: store.get(name) for name in FRAMEWORKS}
    return {
        (name, kind): open_engine(kind, model.directory, model.manifest, device="cpu", threads=1)
        for name, model in models.items()
        for kind in ENGINES
    }


@pytest.fixture
def quiet():
    return Progress(Console(quiet=True))


@pytest.fixture
def copy(store, tmp_path):
    """A model of its own to damage."""

    def make(name):
        directory = tmp_path / name / "1"
        shutil.copytree(store.get(name).directory, directory)
        return StoredModel(directory, load_manifest(directory))

    return make


def softmax(logits):
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_the_manifest_is_whole_and_measured(store, name):
    model = store.get(name)
    manifest = model.manifest
    verify_checksums(model.directory, manifest)
    assert manifest.origin.framework == FRAMEWORKS[name]
    assert manifest.model_signature().batched
    assert (set(manifest.artifacts), manifest.failed) == ({"torchserve", "tensorflow", "onnx"}, {})
    assert all(artifact.route for artifact in manifest.artifacts.values())
    with_source = {pair: found for pair, found in manifest.parity.items() if pair.startswith("source-")}
    assert set(with_source) == {f"source-{kind}" for kind in ENGINES}
    assert all(found.passed and found.max_abs <= found.allowed < 1e-2 for found in with_source.values())
    assert any(found.max_abs > 0 for found in with_source.values())
    assert takes(manifest.preprocessing) == ("texts" if name == "minilm" else "pictures")
    if takes(manifest.preprocessing) == "pictures":
        assert model.samples().keys() == model.pictures().keys()


@pytest.mark.parametrize("name", DIGITS)
def test_a_digit_model_knows_its_digits_and_so_do_its_artefacts(store, engines, name):
    model = store.get(name)
    accuracy = model.manifest.metrics["accuracy"]
    assert accuracy > 0.9
    for artifact in model.manifest.artifacts.values():
        assert artifact.accuracy == pytest.approx(accuracy, abs=0.005)
    scores = model.manifest.scores_output
    assert len(model.labels()) == {spec.name: spec for spec in model.manifest.signature.outputs}[scores].shape[1]
    right = sum(
        f"digit-{model.labels()[engines[name, 'onnxruntime'].run(tensors)[scores].argmax()]}" == sample
        for sample, tensors in model.samples().items()
    )
    assert right >= 8


@pytest.mark.parametrize("kind", ENGINES)
def test_the_forests_label_is_that_of_its_best_probability(store, engines, kind):
    answers = [engines["digits-forest", kind].run(tensors) for tensors in store.get("digits-forest").samples().values()]
    assert {(answer["label"].dtype.name, answer["label"].shape) for answer in answers} == {("int64", (1,))}
    for answer in answers:
        assert answer["probabilities"].sum() == pytest.approx(1.0, abs=1e-5)
        assert answer["probabilities"][0, answer["label"][0]] == answer["probabilities"].max()


@pytest.mark.parametrize("kind", ENGINES)
def test_the_cat_is_a_cat_in_every_engine(store, engines, kind):
    model = store.get("efficientnet-lite0")
    picture = preprocess(model.pictures()["chelsea"], model.manifest.preprocessing)[None]
    np.testing.assert_array_equal(picture, model.samples()["chelsea"]["input"])
    probabilities = softmax(engines["efficientnet-lite0", kind].run({"input": picture})["logits"])[0]
    assert probabilities.argmax() == CAT
    assert probabilities[CAT] == pytest.approx(0.79, abs=0.005)
    assert model.labels()[CAT] == "Egyptian cat"


@pytest.mark.parametrize("kind", ENGINES)
def test_sentences_are_as_alike_as_their_encoders_authors_say(store, engines, kind):
    """The example of sentence-transformers' documentation, with the similarities that it prints."""
    model = store.get("minilm")
    inputs = [(spec.name, spec.datatype, spec.shape) for spec in model.manifest.signature.inputs]
    assert inputs == [(name, Datatype.INT64, (-1, -1)) for name in ("input_ids", "attention_mask")]
    encode = TextEncoder(model.manifest.preprocessing[0], model.directory)
    texts = ["The weather is lovely today.", "It's so sunny outside!", "He drove to the stadium."]
    embeddings = engines["minilm", kind].run(encode(texts))["embedding"]
    assert embeddings.shape == (3, 384)
    expected = [[1.0, 0.6660, 0.1046], [0.6660, 1.0, 0.1411], [0.1046, 0.1411, 1.0]]
    np.testing.assert_allclose(embeddings @ embeddings.T, expected, atol=1e-3)


@pytest.mark.parametrize("kind", ENGINES)
def test_padding_does_not_change_a_sentence(store, engines, kind):
    model = store.get("minilm")
    encode = TextEncoder(model.manifest.preprocessing[0], model.directory)
    engine = engines["minilm", kind]
    short, long = "Gateway", "A sentence encoder turns a text of any length into a vector of one length. " * 6
    together = engine.run(encode([short, long]))["embedding"][0]
    np.testing.assert_allclose(together, engine.run(encode([short]))["embedding"][0], atol=1e-5)


@pytest.mark.parametrize("name", FRAMEWORKS)
@pytest.mark.parametrize("batch", [1, 2, 7])
def test_the_engines_agree(store, engines, name, batch):
    model = store.get(name)
    sample = [*model.samples().values()][-1]
    inputs = {key: np.repeat(array, batch, axis=0) for key, array in sample.items()}
    answers = [engines[name, kind].run(inputs) for kind in ENGINES]
    for output in model.manifest.signature.outputs:
        first, *others = [answer[output.name] for answer in answers]
        assert len(first) == batch
        for other in others:
            assert (other.dtype, other.shape) == (first.dtype, first.shape)
            np.testing.assert_allclose(other, first, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("kind", ENGINES)
def test_an_engine_may_be_called_from_many_threads(store, engines, kind):
    engine = engines["digits-mlp", kind]
    inputs = [{"input": np.full((rows, 784), rows / 10, np.float32)} for rows in range(1, 9)] * 8
    alone = [engine.run(tensors)["logits"] for tensors in inputs]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda tensors: engine.run(tensors)["logits"], inputs))
    for a, b in zip(alone, together, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


@pytest.mark.parametrize("kind", ENGINES)
def test_a_device_that_is_not_there_is_one_sentence(store, kind):
    model = store.get("digits-mlp")
    with pytest.raises(EngineError, match="cannot run on cuda:99"):
        open_engine(kind, model.directory, model.manifest, device="cuda:99")
    with pytest.raises(EngineError, match="unknown device 'gpu'"):
        open_engine(kind, model.directory, model.manifest, device="gpu")


@pytest.mark.parametrize("kind", ENGINES)
def test_a_truncated_artefact_is_one_sentence(copy, kind):
    model = copy("digits-mlp")
    for path in model.manifest.artifacts[ENGINES[kind][0]].files:
        file = model.directory / path
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(CorruptArtifact, match="is corrupt"):
        verify_checksums(model.directory, model.manifest)
    with pytest.raises(EngineError, match=r"cannot be loaded|no archive that can be read"):
        open_engine(kind, model.directory, model.manifest, device="cpu")


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_the_onnx_file_names_the_batch_and_holds_no_path_of_the_builder(store, name):
    path = store.get(name).artifact("onnx")
    graph = onnx.load(path).graph
    for value in (*graph.input, *graph.output):
        assert value.type.tensor_type.shape.dim[0].dim_param == "batch"
    assert str(Path(sys.prefix)).encode() not in path.read_bytes()


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_a_second_build_takes_less_than_a_second(store, quiet, name):
    result = build(Shipped(name, "1"), store, quiet)
    assert not result.built
    assert result.seconds < 1


def test_verify_measures_again(copy, quiet):
    found = verify(copy("digits-mlp"), quiet).summary()
    assert {pair for pair in found if pair.startswith("source-")} == {f"source-{kind}" for kind in ENGINES}
    assert all(pair.max_abs <= pair.allowed for name, pair in found.items() if name.startswith("source-"))


def test_a_wrong_weight_is_caught(copy, quiet):
    """The file is whole and its checksum fits, but one bias is off by a tenth: only the gate can tell."""
    model = copy("digits-mlp")
    path = model.artifact("onnx")
    graph = onnx.load(path)
    bias = next(tensor for tensor in graph.graph.initializer if [*tensor.dims] == [10])
    bias.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(bias) + np.float32(0.1), bias.name))
    onnx.save(graph, path)
    artifact = Artifact("onnx/model.onnx", path.stat().st_size, checksums(model.directory, path))
    manifest = msgspec.structs.replace(model.manifest, artifacts=model.manifest.artifacts | {"onnx": artifact})
    save_manifest(model.directory, manifest)
    with pytest.raises(ParityFailed, match=r"digits-mlp: source and onnxruntime differ by 0\.1"):
        verify(StoredModel(model.directory, manifest), quiet)
