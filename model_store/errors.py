"""Every failure of the model store.

StoreError                  one sentence for the user; the command line prints it and exits with 1
├── ModelMissing            no such model or version in the store
├── UnknownDefinition       no model definition of that name (a wrong argument: exit code 2)
├── InvalidName             no name for a model, or one that would leave the store (likewise)
├── InvalidImport           an argument of an import is wrong (likewise)
├── UnsafeArchive           a zip file that is damaged, or would unpack into far more than it weighs
├── CorruptManifest         manifest.json is missing, unreadable or of another format
├── CorruptArtifact         a file is missing or its checksum is not the manifest's
├── InvalidInput            what preprocessing is given cannot become the model's inputs
│   ├── InvalidImage        the bytes are no picture, or no picture these steps can take
│   └── InvalidText         no text, too long a text, or none that the model takes
├── MissingPackage          a step needs a package that is not installed
├── EngineError             an engine cannot be opened: missing package, device or artefact
├── DiskFull                a build step found no room: no other route would find any
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


class InvalidName(StoreError):
    """Not a model's name."""


class InvalidImport(StoreError):
    """An argument of an import is wrong."""


class UnsafeArchive(StoreError):
    """An archive that must not be unpacked."""


class CorruptManifest(StoreError):
    """``manifest.json`` is missing, unreadable or breaks the format."""


class CorruptArtifact(StoreError):
    """A file of a model is missing or was changed after the build."""


class InvalidInput(StoreError):
    """Preprocessing cannot use what it is given."""


class InvalidImage(InvalidInput):
    """The bytes are no picture."""


class InvalidText(InvalidInput):
    """It is no text that can be tokenized."""


class MissingPackage(StoreError):
    """A package that the model's processing needs is not installed."""


class EngineError(StoreError):
    """An engine cannot be opened here."""


class BuildFailed(StoreError):
    """A build step failed; the store is as it was."""


class DiskFull(StoreError):
    """A build step found no room; no other route would."""


class ParityFailed(BuildFailed):
    """Two engines disagree beyond the model's tolerance."""
