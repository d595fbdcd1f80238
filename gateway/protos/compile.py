"""Compile the ``.proto`` files of this folder: ``python -m gateway.protos.compile`` (needs the ``dev`` extra)."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
DESCRIPTORS = HERE / "descriptors.binpb"


def compile_descriptors() -> bytes:
    """The serialised ``FileDescriptorSet`` of every ``.proto`` file here, dependencies first."""
    from google.protobuf import descriptor_pb2

    sources = sorted(path.name for path in HERE.glob("*.proto"))
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "out.binpb"
        # In a process of its own: the compiler crashes beside TensorFlow, which brings another one.
        command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{HERE}", f"--descriptor_set_out={target}", *sources]
        subprocess.run(command, check=True)
        files = descriptor_pb2.FileDescriptorSet.FromString(target.read_bytes())
    return files.SerializeToString(deterministic=True)


if __name__ == "__main__":
    DESCRIPTORS.write_bytes(compile_descriptors())
