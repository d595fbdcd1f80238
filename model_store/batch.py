"""Building or verifying several models: what fails does not hide what went well."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from model_store.build import BuildResult, build
from model_store.conversion import BuildOptions
from model_store.errors import StoreError
from model_store.recipe import Recipe
from model_store.steps import Progress
from model_store.store import ModelStore
from model_store.variants import variant_of
from model_store.verify import Verified, verify


@dataclass(slots=True, frozen=True)
class Outcome:
    """What was built or is up to date, and what failed, both in the order that was asked for."""

    results: list[BuildResult] = field(default_factory=list)
    errors: list[StoreError] = field(default_factory=list)


def build_all(
    recipes: Sequence[Recipe],
    store: ModelStore,
    progress: Progress,
    *,
    variants: Sequence[str],
    options: BuildOptions,
    force: bool,
    jobs: int = 1,
) -> Outcome:
    """Build ``recipes``, ``jobs`` at the same time, and ``variants`` of each; other arguments as in ``build``."""

    def one(recipe: Recipe) -> Outcome:
        outcome = Outcome()
        try:
            outcome.results.append(build(recipe, store, progress, options=options, force=force))
            for kind in variants:
                variant = variant_of(outcome.results[0].model, kind)
                outcome.results.append(build(variant, store, progress, options=options, force=force))
        except StoreError as error:
            outcome.errors.append(error)
        return outcome

    with ThreadPoolExecutor(jobs) as pool:
        found = [*pool.map(one, recipes)]
    return Outcome(
        [result for outcome in found for result in outcome.results],
        [error for outcome in found for error in outcome.errors],
    )


def verify_all(
    versions: Sequence[tuple[str, str]], store: ModelStore, progress: Progress, *, jobs: int = 1
) -> tuple[list[Verified], list[StoreError]]:
    """Verify models by (name, version), ``jobs`` at the same time; gives what was measured, and what failed."""

    def one(model: tuple[str, str]) -> Verified | StoreError:
        try:
            return verify(store.get(*model), progress)
        except StoreError as error:
            return error

    with ThreadPoolExecutor(jobs) as pool:
        found = [*pool.map(one, versions)]
    return (
        [result for result in found if isinstance(result, Verified)],
        [error for error in found if isinstance(error, StoreError)],
    )
