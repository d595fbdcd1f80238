"""Step: TorchServe archive (.mar) of our handler and what it runs: a PyTorch program, TorchScript or an ONNX graph."""

from __future__ import annotations

import shutil
import sys
from importlib.resources import files
from pathlib import Path

import msgspec
import yaml
from model_archiver.model_archiver_config import ModelArchiverConfig
from model_archiver.model_packaging import generate_model_archive

from model_store.exporters.forms import COMPILED, PROGRAM, SCRIPT
from model_store.exporters.workdir import Workdir, step_workdir

HANDLER_PACKAGE = "oip_handler"
RESPONSE_SECONDS = 60


def main() -> None:
    """Write ``torchserve/<name>.mar``; the third argument says what goes in: ``program``, ``script`` or ``onnx``."""
    work = step_workdir()
    payload = {"program": work.frozen / PROGRAM, "script": work.frozen / SCRIPT, "onnx": work.onnx}[sys.argv[3]]
    _pack(work, payload)


def _pack(work: Workdir, payload: Path) -> None:
    recipe, facts = work.recipe(), work.facts()
    folder = work.scratch / "mar"
    shutil.rmtree(folder, ignore_errors=True)
    contents = folder / "contents"
    package = Path(str(files(f"model_store.{HANDLER_PACKAGE}")))
    shutil.copytree(package, contents / HANDLER_PACKAGE, ignore=shutil.ignore_patterns("__pycache__"))
    compiled = work.frozen / COMPILED
    if payload.name == PROGRAM and compiled.exists():
        shutil.copy(compiled, contents / COMPILED)
    (contents / "signature.json").write_bytes(msgspec.json.encode(facts.signature))
    entry, settings = folder / "entry.py", folder / "model-config.yaml"
    entry.write_text(f"from {HANDLER_PACKAGE}.handler import handle  # noqa: F401\n")
    settings.write_text(yaml.safe_dump(worker_settings(facts.max_batch_size), sort_keys=False))
    target = work.model / "torchserve"
    target.mkdir(exist_ok=True)
    generate_model_archive(
        ModelArchiverConfig(
            model_name=recipe.name,
            version=recipe.version,
            handler=str(entry),
            serialized_file=str(payload),
            extra_files=str(contents),
            config_file=str(settings),
            export_path=str(target),
            force=True,
        )
    )


def worker_settings(max_batch_size: int) -> dict[str, int]:
    """TorchServe's ``model-config.yaml``: batches of what comes within a millisecond.

    The number of workers is left to the server's configuration, which an archive would overrule.
    """
    return {
        "batchSize": max(1, max_batch_size),
        "maxBatchDelay": 1,  # ms a request waits for company; 0 is taken for unset, which means 100
        "responseTimeout": RESPONSE_SECONDS,
    }


if __name__ == "__main__":
    main()
