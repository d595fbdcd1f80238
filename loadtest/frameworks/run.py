"""``loadtest frameworks``: from a built model to the report."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from random import Random

from loadtest.errors import Unusable
from loadtest.frameworks.contestants import measures_original
from loadtest.frameworks.evaluation import evaluate
from loadtest.frameworks.race import Race
from loadtest.frameworks.results import FrameworksReport
from loadtest.frameworks.validity import judge
from loadtest.frameworks.verdict import verdict
from loadtest.progress import Progress
from loadtest.results.machine import StolenTime, this_environment, usable_cores
from model_store.manifest import Manifest
from model_store.originals import Given
from model_store.store import StoredModel


def run_frameworks(
    stored: StoredModel,
    *,
    inferences: int,
    batches: Sequence[int],
    threads: int,
    seed: int,
    progress: Progress,
    original: Given | None = None,
) -> FrameworksReport:
    """Time ``inferences`` runs of every framework at every batch size, in rounds whose order changes.

    Ctrl-C ends it with what was measured until then.

    Raises:
        Unusable: a batch size that the model does not take, more threads than cores, or an unusable original.
    """
    manifest = stored.manifest
    _check(manifest, batches, threads)
    _check_original(stored, original)
    started, stolen = datetime.now(UTC), StolenTime()
    race = Race(stored, batches, threads, progress, original)
    interrupted = False
    try:
        race.run(inferences, Random(seed))  # noqa: S311
    except KeyboardInterrupt:
        interrupted = True
    finally:
        progress("")
        race.close()
    share = stolen.share()
    judged = judge(evaluate(race, batches), share)
    return FrameworksReport(
        model=manifest.name,
        version=manifest.version,
        started=started.isoformat(timespec="seconds"),
        inferences=inferences,
        batches=tuple(batches),
        threads=threads,
        seed=seed,
        environment=this_environment({f"{manifest.name}/{manifest.version}": manifest.checksums()}),
        stolen_cpu=share,
        interrupted=interrupted,
        frameworks=judged.results,
        verdict="" if judged.invalid else verdict(judged.results, batches),
        invalid=judged.invalid,
        warnings=judged.warnings,
    )


def _check(manifest: Manifest, batches: Sequence[int], threads: int) -> None:
    if threads > usable_cores():
        raise Unusable(f"--threads: {usable_cores()} CPU cores can be used here, not {threads}")
    most = manifest.max_batch_size or 1
    for batch in batches:
        if batch > most:
            raise Unusable(f"--batch: model {manifest.name!r} takes at most {most} rows at once, not {batch}")


def _check_original(stored: StoredModel, original: Given | None) -> None:
    if original is None:
        return
    manifest = stored.manifest
    if not measures_original(stored):
        raise Unusable(
            f"--original: the original of {manifest.name!r} is of {manifest.origin.framework}; only those of Keras and "
            f"scikit-learn are measured beside what was made of them"
        )
    if not original.path.exists():
        raise Unusable(f"--original: {original.path}: no such file")
