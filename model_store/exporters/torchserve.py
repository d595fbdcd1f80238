"""Step: TorchServe archive (.mar) of the exported program and our handler."""

from __future__ import annotations

import shutil
from importlib.resources import files
from pathlib import Path

import msgspec
import yaml
from model_archiver.model_archiver_config import ModelArchiverConfig
from model_archiver.model_packaging import generate_model_archive

from model_store.definitions import get_definition
from model_store.definitions.base import ModelDefinition
from model_store.exporters.workdir import step_arguments
from model_store.manifest import signature_entry

HANDLER_PACKAGE = "oip_handler"


def main() -> None:
    """Write ``torchserve/<name>.mar``."""
    name, work = step_arguments()
    definition = get_definition(name)
    folder = work.scratch / "mar"
    contents = folder / "contents"
    package = Path(str(files(f"model_store.{HANDLER_PACKAGE}")))
    shutil.copytree(package, contents / HANDLER_PACKAGE, ignore=shutil.ignore_patterns("__pycache__"))
    (contents / "signature.json").write_bytes(msgspec.json.encode(signature_entry(definition.signature)))
    entry, settings = folder / "entry.py", folder / "model-config.yaml"
    entry.write_text(f"from {HANDLER_PACKAGE}.handler import handle  # noqa: F401\n")
    settings.write_text(yaml.safe_dump(worker_settings(definition), sort_keys=False))
    target = work.model / "torchserve"
    target.mkdir()
    generate_model_archive(
        ModelArchiverConfig(
            model_name=name,
            version=definition.version,
            handler=str(entry),
            serialized_file=str(work.program),
            extra_files=str(contents),
            config_file=str(settings),
            export_path=str(target),
        )
    )


def worker_settings(definition: ModelDefinition) -> dict[str, int]:
    """TorchServe's ``model-config.yaml``: batches of what comes within a millisecond.

    The number of workers is left to the server's configuration, which an archive would overrule.
    """
    return {
        "batchSize": definition.max_batch_size,
        "maxBatchDelay": 1,  # ms a request waits for company; 0 is taken for unset, which means 100
        "responseTimeout": 60,
    }


if __name__ == "__main__":
    main()
