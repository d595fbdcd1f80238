import pytest

from model_store.engines import candidates, open_engine
from model_store.engines.onnxruntime import OnnxruntimeEngine
from model_store.engines.pytorch import PytorchEngine
from model_store.engines.tensorflow import TensorflowEngine
from model_store.errors import EngineError


@pytest.mark.parametrize(
    ("settings", "named"),
    [({"optimisation": "all"}, "optimisation='all'"), ({"optimization": 3}, "optimization=3")],
    ids=["a name", "a value"],
)
def test_settings_that_no_engine_has_are_named(model, tmp_path, settings, named):
    with pytest.raises(EngineError, match=f"'double' has settings that the engine onnxruntime does not: {named}"):
        open_engine("onnxruntime", tmp_path, model(settings), device="cpu")


@pytest.mark.parametrize("level", ["all", "basic"])
def test_settings_of_the_manifest_are_used(model, tmp_path, level):
    assert open_engine("onnxruntime", tmp_path, model({"optimization": level}), device="cpu").device == "cpu"


@pytest.mark.parametrize("engine", [OnnxruntimeEngine, PytorchEngine, TensorflowEngine])
def test_candidates_are_choices_of_the_engine_and_begin_with_its_defaults(model, tmp_path, engine):
    model()
    first, *others = engine.candidates(tmp_path / "m.mar")
    assert first == {}
    assert others
    assert all(value in engine.choices[name] for settings in others for name, value in settings.items())


def test_a_compiled_library_is_a_candidate_only_where_there_is_one(model, tmp_path):
    plain = candidates("pytorch", tmp_path, model(program_pt2=b"p"))
    compiled = candidates("pytorch", tmp_path, model(program_pt2=b"p", aot_pt2=b"a"))
    assert [*compiled] == [*plain, {"mode": "aot"}]
