"""What several backends tell of one model, brought together into the versions that the gateway serves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from gateway.core.backend import ModelDescription
from gateway.core.signatures import Signature


@dataclass(slots=True, frozen=True)
class LearnedModel:
    """One version of a model that only backends know.

    Attributes:
        version: as the gateway calls it; decimal.
        description: of the first of the backends, with the smallest batch limit of all of them.
        holders: what each of the backends that agree on the signature calls the version.
        disputes: why other backends that have the version are left out.
    """

    version: str
    description: ModelDescription
    holders: Mapping[str, str]
    disputes: Mapping[str, str]


def merge(told: Mapping[str, ModelDescription], served: Mapping[str, Signature]) -> list[LearnedModel]:
    """The versions of one model; ``told`` by backend, in their order of preference, ``served`` signature by version.

    Backends that disagree on a signature cannot serve a version together. One keeps what it serves now; else the
    first one has it.
    """
    numbered = {backend: _numbered(description) for backend, description in told.items()}
    latest = max((int(version) for versions in numbered.values() for version in versions if version), default=1)
    by_version: dict[str, dict[str, ModelDescription]] = {}
    for backend, versions in numbered.items():
        for version, description in versions.items():
            # A server without versions has what every other server's latest version is.
            by_version.setdefault(version or str(latest), {})[backend] = description
    return [_agree(version, of, served.get(version)) for version, of in sorted(by_version.items(), key=_number)]


def _number(entry: tuple[str, object]) -> int:
    return int(entry[0])


def _numbered(description: ModelDescription) -> dict[str, ModelDescription]:
    """The backend's versions by the gateway's names for them, oldest first; empty is the name where it has none."""
    versions = [*description.older, replace(description, older=())]
    if not description.version or all(_is_plain(each.version) for each in versions):
        return {each.version: each for each in versions}
    # TensorFlow Serving's protocol knows numbers only: others are counted.
    return {str(number): each for number, each in enumerate(versions, 1)}


def _is_plain(version: str) -> bool:
    return version.isdecimal() and version == str(int(version)) and int(version) < 2**63


def _agree(version: str, told: Mapping[str, ModelDescription], served: Signature | None) -> LearnedModel:
    signatures = [description.signature for description in told.values()]
    signature = served if served is not None and served in signatures else signatures[0]
    holders = {backend: each for backend, each in told.items() if each.signature == signature}
    limits = [each.max_batch_size for each in holders.values() if each.max_batch_size]
    first = next(iter(holders))
    return LearnedModel(
        version=version,
        description=replace(holders[first], max_batch_size=min(limits, default=0)),
        holders={backend: each.version for backend, each in holders.items()},
        disputes={
            backend: f"its inputs and outputs differ from those on {first!r}"
            for backend in told
            if backend not in holders
        },
    )
