"""Step: write the definition's samples and labels into the model's directory."""

from __future__ import annotations

import numpy as np

from model_store.definitions import get_definition
from model_store.exporters.workdir import step_arguments


def main() -> None:
    """Write ``samples/<name>.npy`` (and ``.png``) and ``labels.txt``."""
    name, work = step_arguments()
    definition = get_definition(name)
    folder = work.model / "samples"
    folder.mkdir()
    for sample in definition.samples():
        (array,) = sample.inputs.values()
        np.save(folder / f"{sample.name}.npy", array)
        if sample.picture is not None:
            (folder / f"{sample.name}.png").write_bytes(sample.picture)
    if definition.labels is not None:
        (work.model / "labels.txt").write_text("".join(f"{label}\n" for label in definition.labels()), "utf-8")


if __name__ == "__main__":
    main()
