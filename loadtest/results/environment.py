"""Where and with what a result was measured."""

from __future__ import annotations

from loadtest.results.block import Struct


class Environment(Struct, frozen=True, kw_only=True):
    """Servers and load generator may share it; what the servers say of themselves is in each target.

    Attributes:
        cpu: model name.
        cores: CPU cores that this process may use.
        memory_gib: of the machine.
        system: kernel.
        python: version.
        threads: settings of the environment that set thread counts, such as ``OMP_NUM_THREADS``.
        versions: of the packages that matter, by name, where they are installed.
        git_sha: commit of the working directory, with ``-dirty`` when it has changes; empty outside a repository.
        models: SHA-256 over the files of each model by ``name/version``; none for models that are in no store.
    """

    cpu: str
    cores: int
    memory_gib: float
    system: str
    python: str
    threads: dict[str, str] = {}
    versions: dict[str, str] = {}
    git_sha: str = ""
    models: dict[str, str] = {}
