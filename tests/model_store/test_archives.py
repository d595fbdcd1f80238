"""Zip files are looked at before they are unpacked."""

import zipfile

import pytest

from model_store.archives import check_zip
from model_store.errors import UnsafeArchive


def write(path, **members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def test_an_honest_archive_tells_its_members(tmp_path):
    assert check_zip(write(tmp_path / "a.zip", code="x = 1", weights=bytes(1 << 20))) == ["code", "weights"]


def test_a_bomb_is_refused(tmp_path):
    path = write(tmp_path / "a.zip", zeros=bytes(65 << 20))
    with pytest.raises(UnsafeArchive, match=rf"a\.zip: {path.stat().st_size} bytes would unpack into {65 << 20}"):
        check_zip(path)


@pytest.mark.parametrize("content", [b"", b"junk", b"PK\x03\x04"])
def test_junk_is_no_archive(tmp_path, content):
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(UnsafeArchive, match="no archive that can be read"):
        check_zip(tmp_path / "a.zip")
