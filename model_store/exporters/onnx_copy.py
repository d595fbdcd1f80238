"""Step: the user's ONNX file as it is, but for notes and for the names of its free dimensions."""

from __future__ import annotations

import onnx

from model_store.exporters.forms import ONNX
from model_store.exporters.onnx_graph import finish
from model_store.exporters.workdir import step_workdir


def main() -> None:
    """Write ``onnx/model.onnx``."""
    work = step_workdir()
    finish(onnx.load(work.frozen / ONNX), work.facts().model_signature(), work.onnx)


if __name__ == "__main__":
    main()
