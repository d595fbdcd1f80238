"""A built model once more under the next version: the same files, as a build of the same source would make them."""

import shutil
import zipfile

import msgspec

from model_store.manifest import checksums, load_manifest, save_manifest

_ARCHIVE_MANIFEST = "MAR-INF/MANIFEST.json"


def add_version(store, built, version):
    """Copy the built model in the directory ``built`` into ``store`` as ``version``; returns the new directory."""
    manifest = load_manifest(built)
    directory = store / manifest.name / version
    shutil.copytree(built, directory)
    artifacts = dict(manifest.artifacts)
    archive = directory / artifacts["torchserve"].path
    _set_version(archive, version)
    artifacts["torchserve"] = msgspec.structs.replace(artifacts["torchserve"], files=checksums(directory, archive))
    save_manifest(directory, msgspec.structs.replace(manifest, version=version, artifacts=artifacts))
    return directory


def _set_version(archive, version):
    """TorchServe takes the version from the archive."""
    with zipfile.ZipFile(archive) as old:
        members = {name: old.read(name) for name in old.namelist()}
    described = msgspec.json.decode(members[_ARCHIVE_MANIFEST])
    described["model"]["modelVersion"] = version
    members[_ARCHIVE_MANIFEST] = msgspec.json.encode(described)
    with zipfile.ZipFile(archive, "w") as new:
        for name, content in members.items():
            new.writestr(name, content)
