"""Compile the ``.proto`` files of this folder: ``python -m gateway.protos.compile`` (needs the ``dev`` extra)."""

from __future__ import annotations

import tempfile
from pathlib import Path

HERE = Path(__file__).parent
DESCRIPTORS = HERE / "descriptors.binpb"


def compile_descriptors() -> bytes:
    """The serialised ``FileDescriptorSet`` of every ``.proto`` file here, dependencies first."""
    from google.protobuf import descriptor_pb2
    from grpc_tools import protoc

    sources = sorted(path.name for path in HERE.glob("*.proto"))
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "out.binpb"
        include = Path(protoc.__file__).parent / "_proto"
        status = protoc.main(["protoc", f"-I{HERE}", f"-I{include}", f"--descriptor_set_out={target}", *sources])
        if status != 0:
            raise SystemExit(status)
        files = descriptor_pb2.FileDescriptorSet.FromString(target.read_bytes())
    return files.SerializeToString(deterministic=True)


if __name__ == "__main__":
    DESCRIPTORS.write_bytes(compile_descriptors())
