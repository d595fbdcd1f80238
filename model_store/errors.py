"""Every failure of the model store.

StoreError                  one sentence for the user; the command line prints it and exits with 1
├── ModelMissing            no such model or version in the store
├── UnknownDefinition       no model definition of that name (a wrong argument: exit code 2)
├── CorruptManifest         manifest.json is missing, unreadable or of another format
├── CorruptArtifact         a file is missing or its checksum is not the manifest's
├── InvalidImage            the bytes are no picture, or no picture these steps can take
├── EngineError             an engine cannot be opened: missing package, device or artefact
└── BuildFailed             a build step failed, crashed or ran out of time
    └── ParityFailed        two engines disagree beyond the model's tolerance
"""

from __future__ import annotations


class StoreError(Exception):
    """Base of the tree; the message is a sentence that names the thing."""


class ModelMissing(StoreError):
    """The store holds no such model or version."""


class UnknownDefinition(StoreError):
    """No model definition has that name."""


class CorruptManifest(StoreError):
    """``manifest.json`` is missing, unreadable or breaks the format."""


class CorruptArtifact(StoreError):
    """A file of a model is missing or was changed after the build."""


class InvalidImage(StoreError):
    """The bytes are no picture."""


class EngineError(StoreError):
    """An engine cannot be opened here."""


class BuildFailed(StoreError):
    """A build step failed; the store is as it was."""


class ParityFailed(BuildFailed):
    """Two engines disagree beyond the model's tolerance."""
