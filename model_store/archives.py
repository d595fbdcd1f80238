"""Zip files from outside: looked at before anything is unpacked."""

from __future__ import annotations

import zipfile
from pathlib import Path

from model_store.errors import UnsafeArchive

# Weights hardly shrink; code and JSON shrink tenfold. A bomb of deflate reaches 1,000.
MAX_RATIO = 100
ALWAYS_ALLOWED = 64 << 20  # bytes; small archives of zeros are no danger


def check_zip(path: Path) -> list[str]:
    """Names of the members of the zip file ``path``.

    Raises:
        UnsafeArchive: it is no zip file, or its members together are over ``MAX_RATIO`` times its size.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except (OSError, zipfile.BadZipFile) as error:
        raise UnsafeArchive(f"{path} is no archive that can be read: {error}") from error
    unpacked = sum(member.file_size for member in members)
    size = path.stat().st_size
    if unpacked > max(ALWAYS_ALLOWED, MAX_RATIO * size):
        raise UnsafeArchive(f"{path}: {size} bytes would unpack into {unpacked}: that is no model but a zip bomb")
    return [member.filename for member in members]
