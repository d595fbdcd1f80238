"""The settings of what is asked of a second server too: shadows and comparisons."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Annotated

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from gateway.config.values import BackendName, Section, Version

Share = Annotated[float, Field(ge=0, le=1)]
Distance = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class ToleranceConfig(Section):
    """Float outputs may be ``abs`` plus ``rel`` times their largest magnitude apart; all else must be equal."""

    abs: Distance = 1e-6
    rel: Distance = 1e-3


class MirrorConfig(Section):
    """How copies are sent and judged.

    A copy may take ``timeout`` seconds. At most ``concurrent`` of them are under way at once, and none goes to a
    backend that has ``busy`` requests in flight. ``samples`` requests are kept whose answers differ by more than
    ``tolerance``; without one that is twice what the model store's manifest allows, or ``ToleranceConfig``'s defaults.
    """

    timeout: PositiveFloat = 5.0
    concurrent: PositiveInt = 16
    busy: PositiveInt = 64
    tolerance: ToleranceConfig | None = None
    samples: Annotated[int, Field(ge=0, le=1000)] = 16


class ShadowConfig(MirrorConfig):
    """A copy of a ``share`` of a model's requests goes to ``backend``, to ``version`` or ``label``, or to both."""

    share: Share
    backend: BackendName | None = None
    version: Version | None = None
    label: str | None = None

    @model_validator(mode="after")
    def _has_one_target(self) -> ShadowConfig:
        if not (self.backend or self.version or self.label):
            raise ValueError("a target is needed: backend, version or label")
        if self.version and self.label:
            raise ValueError("version and label: only one of them can be the target")
        return self


class CompareConfig(MirrorConfig):
    """All other backends of a model are asked for a ``share`` of its requests too, and whenever a client wants that."""

    share: Share = 0.0


def check_mirrors(
    shadow: Mapping[str, ShadowConfig],
    compare: Mapping[str, CompareConfig],
    backends: Mapping[str, Collection[str] | None],
    labels: Mapping[str, Mapping[str, str]],
) -> None:
    """Return when every target can be another one than who is asked anyway.

    Args:
        shadow: by model, or by model and version (``name/version``).
        compare: by model.
        backends: the models that each serves; None for whatever it has.
        labels: version by label, for each model.

    Raises:
        ValueError: one cannot; names its key.
    """
    for key, each in shadow.items():
        name, _, version = key.partition("/")
        _check_target(f"shadow.{key}", name, version, each, _serving(name, backends), labels.get(name, {}))
    for name in {key.partition("/")[0] for key in shadow}:
        _check_no_loop(name, shadow, labels.get(name, {}))
    for name in compare:
        serving = _serving(name, backends)
        if len(serving) < 2:
            raise ValueError(
                f"compare.{name}: there is nothing to compare: {', '.join(serving) or 'no backend'} serves it"
            )


def _check_target(
    key: str, name: str, version: str, settings: ShadowConfig, serving: list[str], labels: Mapping[str, str]
) -> None:
    """Raise ValueError unless ``version`` of ``name`` (empty: any) can have that target."""
    label, backend = settings.label, settings.backend
    if label and label not in labels:
        raise ValueError(f"{key}.label: model {name!r} has no label {label!r}; labels: {', '.join(labels) or 'none'}")
    if backend and backend not in serving:
        raise ValueError(f"{key}.backend: no backend {backend!r} serves {name!r}; those that do: {', '.join(serving)}")
    if _version_of(settings, labels) in ("", version) and (not backend or serving == [backend]):
        place = "backend" if backend else "label" if label else "version"
        raise ValueError(f"{key}.{place}: the model would be a shadow of itself; another version or backend is needed")


def _serving(name: str, backends: Mapping[str, Collection[str] | None]) -> list[str]:
    return [backend for backend, models in backends.items() if models is None or name in models]


def _version_of(settings: ShadowConfig, labels: Mapping[str, str]) -> str:
    """The target's; empty for the model's own."""
    return settings.version or (labels.get(settings.label, "") if settings.label else "")


def _check_no_loop(name: str, shadow: Mapping[str, ShadowConfig], labels: Mapping[str, str]) -> None:
    """Raise ValueError when versions of ``name`` are shadows of each other, whatever lies between them."""
    for key in (key for key in shadow if key.partition("/")[0] == name):
        start = key.partition("/")[2] or _version_of(shadow[key], labels)
        path = [start, *_shadows_of(name, start, shadow, labels)]
        if path[-1] in path[:-1]:
            loop = " → ".join(path[path.index(path[-1]) :])
            raise ValueError(f"shadow.{key}: versions of {name!r} would be shadows of each other: {loop}")


def _shadows_of(
    name: str, version: str, shadow: Mapping[str, ShadowConfig], labels: Mapping[str, str]
) -> Iterator[str]:
    """The version that ``version`` has as its shadow, that one's, and so on; ends with the first that comes again."""
    seen = {version}
    while True:
        settings = shadow.get(f"{name}/{version}") or shadow.get(name)
        target = _version_of(settings, labels) if settings else ""
        if target in ("", version):
            return
        yield target
        if target in seen:
            return
        seen.add(target)
        version = target
