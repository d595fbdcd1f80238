"""Step: one engine answers the parity gate's inputs, in a process of its own."""

from __future__ import annotations

import sys
from pathlib import Path

from model_store.engines import CPU, open_engine
from model_store.exporters.workdir import load_tensors, save_tensors
from model_store.manifest import load_manifest


def main() -> None:
    """Arguments: engine, the model's directory, folder of inputs, folder for outputs."""
    kind, model, inputs, outputs = sys.argv[1], *(Path(argument) for argument in sys.argv[2:])
    engine = open_engine(kind, model, load_manifest(model), device=CPU)
    save_tensors(outputs, {name: engine.run(tensors) for name, tensors in load_tensors(inputs).items()})


if __name__ == "__main__":
    main()
