"""A TorchServe archive: what its handler runs, taken out of it, and the settings it runs with, put into it."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path

from model_store.archives import check_zip
from model_store.engines import Settings
from model_store.errors import EngineError, UnsafeArchive
from model_store.oip_handler.handler import SETTINGS
from model_store.oip_handler.runtime import GRAPH, LIBRARY, PROGRAM, SCRIPT

MODELS = (PROGRAM, SCRIPT, GRAPH, LIBRARY)


def models_in(archive: Path) -> list[str]:
    """The names of ``MODELS`` that ``archive`` holds.

    Raises:
        EngineError: it is no archive that can be unpacked safely, or it holds no model.
    """
    try:
        members = check_zip(archive)
    except UnsafeArchive as error:
        raise EngineError(str(error)) from error
    found = [name for name in MODELS if name in members]
    if not {PROGRAM, SCRIPT, GRAPH} & {*found}:
        raise EngineError(f"{archive} holds none of {PROGRAM}, {SCRIPT}, {GRAPH}: it is no archive of this model store")
    return found


def unpack(archive: Path, folder: Path) -> None:
    """Write the models of ``archive`` into ``folder``, and nothing else of it.

    Raises:
        EngineError: as ``models_in``.
    """
    names = models_in(archive)
    with zipfile.ZipFile(archive) as source:
        for name in names:
            # zipfile gives no byte more than the size that models_in has judged.
            with source.open(name) as member, (folder / name).open("wb") as file:
                shutil.copyfileobj(member, file)


def write_settings(archive: Path, settings: Settings) -> None:
    """Make TorchServe run ``archive`` with ``settings``; a compiled library that they do not use is taken out."""
    dropped = {SETTINGS} if settings.get("mode") == "aot" else {SETTINGS, LIBRARY}
    fresh = archive.with_name(f".{archive.name}.new")
    with zipfile.ZipFile(archive) as source, zipfile.ZipFile(fresh, "w", zipfile.ZIP_DEFLATED) as target:
        for member in source.infolist():
            if member.filename not in dropped:
                with source.open(member) as old, target.open(member, "w") as new:
                    shutil.copyfileobj(old, new)
        target.writestr(SETTINGS, json.dumps(dict(settings)))
    fresh.replace(archive)
