"""Several models at once: what fails does not hide what was built."""

import msgspec
import pytest
from support.played_build import quiet

from model_store.batch import build_all
from model_store.conversion import BuildOptions
from model_store.errors import BuildFailed


@pytest.fixture
def many(workshop):
    """Build ``a``, ``b`` and ``c``; gives the names of what was built, and the sentences of what failed."""
    recipes = [msgspec.structs.replace(workshop.recipe, name=name) for name in "abc"]

    def build(variants=(), jobs=1, **options):
        chosen = BuildOptions(**options)
        outcome = build_all(recipes, workshop.store, quiet(), variants=variants, options=chosen, force=False, jobs=jobs)
        return [result.model.manifest.name for result in outcome.results], [str(error) for error in outcome.errors]

    return build


@pytest.mark.parametrize("jobs", [1, 3])
def test_all_are_built_in_the_order_that_was_asked_for(many, workshop, jobs):
    assert many(jobs=jobs) == (["a", "b", "c"], [])
    assert workshop.store.names() == ["a", "b", "c"]


def test_variants_follow_their_base(many):
    names, errors = many(variants=("fp16", "int8"))
    assert names == ["a", "a-fp16", "a-int8", "b", "b-fp16", "b-int8", "c", "c-fp16", "c-int8"]
    assert errors == []


@pytest.mark.parametrize(
    ("source", "built"),
    [
        pytest.param(3, ["a", "a-fp16", "c", "c-fp16"], id="a base and so its variants"),
        pytest.param(2, ["a", "b", "b-fp16", "c", "c-fp16"], id="a variant alone"),
    ],
)
def test_one_that_fails_does_not_hide_the_others(many, play, source, built):
    play.broken["Source", source] = BuildFailed("Source failed: no weights")
    assert many(variants=("fp16",)) == (built, ["Source failed: no weights"])


def test_a_base_without_an_onnx_file_stays_though_its_variant_cannot_be_made(many):
    names, errors = many(variants=("fp16",), only=("tensorflow",))
    assert names == ["a", "b", "c"]
    assert [error.partition(" ")[0] for error in errors] == ["a", "b", "c"]
