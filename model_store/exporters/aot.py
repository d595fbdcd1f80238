"""Step: the exported PyTorch program compiled for this machine's processor, for the archive to try."""

from __future__ import annotations

from model_store.calibration.aot import compile_aot
from model_store.exporters.forms import COMPILED, PROGRAM
from model_store.exporters.workdir import step_workdir


def main() -> None:
    """Write ``aot.pt2`` beside the other frozen forms."""
    work = step_workdir()
    compile_aot(work.frozen / PROGRAM, work.frozen / COMPILED)


if __name__ == "__main__":
    main()
