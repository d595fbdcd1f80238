"""Taking a model out of the store."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from model_store.errors import ModelMissing, StoreError
from model_store.publish import BUILDS, LOCK, build_lock
from model_store.store import ModelStore


def remove(store: ModelStore, name: str, version: str, waiting: Callable[[], None]) -> list[str]:
    """Remove one version, or all of them when ``version`` is empty; gives the versions that are gone.

    The link goes first, in one atomic step: a reader finds the model whole or not at all.

    Raises:
        ModelMissing: no such model or version.
        StoreError: the store cannot be written.
    """
    versions = store.versions(name)
    if not versions or (version and version not in versions):
        raise ModelMissing(f"model {name + (f'/{version}' if version else '')!r} is not in the store {store.root}")
    home = store.root / name
    gone = [version] if version else versions
    try:
        with build_lock(home, waiting):
            for one in gone:
                link = home / one
                folder = home / BUILDS / os.readlink(link).rpartition("/")[2]  # noqa: PTH115  a Path would be resolved
                link.unlink()
                shutil.rmtree(folder)
            if not store.versions(name):
                _clear(home)
    except OSError as error:
        raise StoreError(f"{name} cannot be removed: {error.strerror} ({error.filename})") from error
    return gone


def _clear(home: Path) -> None:
    """Everything but the lock: whoever waits for it must find it where the next one will look."""
    for path in home.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name != LOCK:
            path.unlink()
