"""Where and with what a result is measured: finds out what ``Environment`` holds."""

from __future__ import annotations

import hashlib
import math
import os
import platform
import subprocess
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

from loadtest.results.environment import Environment

# Variables by which the engines are told how many threads to use, and which decide as much as the engine itself.
_THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OMP_WAIT_POLICY",
    "OMP_PROC_BIND",
    "KMP_AFFINITY",
    "KMP_BLOCKTIME",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
    "TF_ENABLE_ONEDNN_OPTS",
    "GATEWAY_ENGINE_THREADS",
)
_PACKAGES = (
    "serving-gateway",
    "numpy",
    "uvloop",
    "httptools",
    "grpcio",
    "onnxruntime",
    "torch",
    "torchserve",
    "tensorflow",
    "keras",
    "scikit-learn",
)
_CGROUP = Path("/sys/fs/cgroup")
_GIT_SECONDS = 10.0


def this_environment(models: Mapping[str, Mapping[str, str]]) -> Environment:
    """Describe the machine and the software; ``models`` are the files' checksums by path, by ``name/version``."""
    pages, page_size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    return Environment(
        cpu=_cpu_model(),
        cores=usable_cores(),
        memory_gib=round(pages * page_size / 2**30, 1),
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        threads={name: os.environ[name] for name in _THREAD_VARIABLES if name in os.environ},
        versions=_versions(),
        git_sha=git_sha(Path.cwd()),
        models={name: checksum(files) for name, files in models.items() if files},
    )


def checksum(files: Mapping[str, str]) -> str:
    """One SHA-256 over the SHA-256 of many ``files`` by path, whatever their order."""
    lines = "".join(f"{digest}  {path}\n" for path, digest in sorted(files.items()))
    return hashlib.sha256(lines.encode()).hexdigest()


def usable_cores(cgroup: Path = _CGROUP) -> int:
    """CPU cores that this process may keep busy: those it may run on, or fewer where its container has a quota."""
    allowed = len(os.sched_getaffinity(0))
    quota = _quota(cgroup)
    return allowed if quota is None else max(1, min(allowed, math.ceil(quota)))


def git_sha(directory: Path) -> str:
    """The commit of ``directory``, with ``-dirty`` when there are changes; empty outside a repository."""
    commit = _git(directory, "rev-parse", "HEAD")
    if not commit:
        return ""
    return f"{commit}-dirty" if _git(directory, "status", "--porcelain") else commit


class StolenTime:
    """How much of the machine's CPU time the host gives to other guests, counted from the object's making."""

    def __init__(self) -> None:
        self._total, self._stolen = _cpu_ticks()

    def share(self) -> float:
        """Between 0 and 1."""
        total, stolen = _cpu_ticks()
        return (stolen - self._stolen) / max(total - self._total, 1)


def _cpu_ticks() -> tuple[int, int]:
    with Path("/proc/stat").open(encoding="ascii") as file:
        # user nice system idle iowait irq softirq steal; the guests that follow are part of user
        ticks = [int(field) for field in file.readline().split()[1:9]]
    return sum(ticks), ticks[7]


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()  # ARM kernels name no model


def _quota(cgroup: Path) -> float | None:
    """Cores' worth of CPU time that the control group gets (version 2 or 1); None when it is not bounded."""
    for names in (("cpu.max",), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")):
        try:
            quota, period = " ".join((cgroup / name).read_text(encoding="ascii") for name in names).split()
            cores = int(quota) / int(period)  # "max" (2) or -1 (1): no bound
        except (OSError, ValueError, ZeroDivisionError):
            continue
        return cores if cores > 0 else None
    return None


def _versions() -> dict[str, str]:
    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions


def _git(directory: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=directory, capture_output=True, text=True, timeout=_GIT_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
