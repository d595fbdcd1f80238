"""Other precisions: what they may be made from, and which tolerance they are proven with."""

import pytest
from support.manifests import make_manifest
from support.played_build import quiet

from model_store.build import build
from model_store.errors import BuildFailed
from model_store.manifest import Origin
from model_store.parity.tolerance import FP16_VARIANT, INT8_VARIANT, Tolerance
from model_store.recipe import VARIANTS
from model_store.store import StoredModel
from model_store.variants import TOLERANCES, variant_of


def test_every_kind_has_a_tolerance():
    assert {*TOLERANCES} == {*VARIANTS}


def test_a_variant_is_named_for_its_base_and_bound_to_that_very_build(workshop):
    base = workshop.build().model
    recipe = variant_of(base, "int8")
    assert (recipe.name, recipe.version, recipe.kind) == ("tiny-int8", "1", "int8")
    assert (recipe.base, recipe.base_key) == (str(base.directory), base.manifest.build_key)


@pytest.mark.parametrize(("kind", "tolerance"), [("fp16", FP16_VARIANT), ("int8", INT8_VARIANT)])
def test_a_variant_is_built_with_the_tolerance_of_its_kind(workshop, kind, tolerance):
    base = workshop.build().model
    manifest = build(variant_of(base, kind), workshop.store, quiet()).model.manifest
    assert manifest.tolerance == tolerance != base.manifest.tolerance
    assert (manifest.name, manifest.origin.variant_of, manifest.origin.framework) == (f"tiny-{kind}", "tiny", "onnx")
    assert set(manifest.artifacts) == {"onnx", "tensorflow", "torchserve"}
    assert workshop.store.names() == ["tiny", f"tiny-{kind}"]


def test_a_variant_is_up_to_date_until_its_base_is_built_anew(workshop):
    def built():
        return build(variant_of(workshop.build().model, "fp16"), workshop.store, quiet()).built

    assert [built(), built()] == [True, False]
    workshop.file.write_bytes(b"other weights")
    assert built()


def test_a_variant_of_a_variant_is_refused(tmp_path):
    manifest = make_manifest("tiny-fp16", [], [], origin=Origin("onnx", "fp16 of tiny", "tiny"))
    with pytest.raises(BuildFailed, match=r"^tiny-fp16 is a variant of tiny: make variants of that one$"):
        variant_of(StoredModel(tmp_path, manifest), "int8")


def test_a_base_without_an_onnx_file_is_refused(workshop):
    base = workshop.build(only=("tensorflow",)).model
    with pytest.raises(BuildFailed, match=r"^tiny was built without an ONNX file, which a variant is made from$"):
        variant_of(base, "int8")


def test_the_tolerance_of_a_model_of_its_own_is_the_users(workshop):
    assert workshop.build().model.manifest.tolerance == Tolerance(absolute=0.01)
