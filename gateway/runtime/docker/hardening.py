"""How little a container of ours may do: the same as in docker-compose.yml, which a test holds equal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.runtime.docker import RUN_DIRECTORY

USER = "10001:10001"
# Until a container is healthy it is not started again, so that one that cannot start is found out.
RESTART = {"Name": "unless-stopped"}
_GIB = 2**30
_SECOND = 10**9  # the engine counts nanoseconds
_CPUS = 2.0
_PIDS = 512
# By image, in bytes.
_MEMORY: Mapping[str, int] = {
    "gateway": _GIB // 2,
    "onnxruntime": _GIB,
    "torchserve": 3 * _GIB,
    "tensorflow": 2 * _GIB,
}
_GPU_MEMORY = 8 * _GIB
# TorchServe unpacks archives and their native libraries there.
_TORCHSERVE_SCRATCH = "size=1g,exec"
_SCRATCH = "size=256m"


def hardened(image: str, *, gpu: bool = False) -> dict[str, Any]:
    """The part of an engine's ``HostConfig`` that bounds a container of the image ``image``."""
    return {
        "ReadonlyRootfs": True,
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges:true"],
        "Tmpfs": {
            RUN_DIRECTORY: "size=64m,uid=10001,gid=10001,mode=0750",
            "/tmp": _TORCHSERVE_SCRATCH if image == "torchserve" else _SCRATCH,  # noqa: S108 - in the container
        },
        "Memory": _GPU_MEMORY if gpu else _MEMORY[image],
        "NanoCpus": round(_CPUS * 1e9),
        "PidsLimit": _PIDS,
        "Init": True,  # reaps what servers leave behind
        "LogConfig": {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "3"}},
    }


def health_check(name: str) -> dict[str, Any]:
    """One real inference of every model of the server ``name``."""
    return {
        "Test": ["CMD", "python", "-P", "-m", "gateway.runtime.probe", name, RUN_DIRECTORY],
        "Interval": 5 * _SECOND,
        "Timeout": 10 * _SECOND,
        "Retries": 3,
        "StartPeriod": 300 * _SECOND,
    }
