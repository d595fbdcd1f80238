"""What differs between two configurations, and what of it may change while a gateway runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic import BaseModel

# The one table of what may change at run time: these keys and all below them; ``*`` stands for any name. The rest is
# what a process takes at its start: ports, addresses, engines, limits.
CHANGEABLE = (
    "admission",
    "backends.*.batching",
    "balancing",
    "cache",
    "compare",
    "default_timeout",
    "hedging",
    "labels",
    "logs.access_sample",
    "retries",
    "routing",
    "shadow",
)

_TABLE = [tuple(entry.split(".")) for entry in CHANGEABLE]

Path = tuple[str, ...]


def differences(before: BaseModel, after: BaseModel) -> dict[Path, tuple[Any, Any]]:
    """Both values of every key that differs, as JSON has them; None for a key that one of them lacks."""
    return dict(_compared((), before.model_dump(mode="json"), after.model_dump(mode="json")))


def is_changeable(path: Path) -> bool:
    """Whether the key may change while a gateway runs."""
    return any(
        len(path) >= len(entry) and all(part in ("*", name) for part, name in zip(entry, path, strict=False))
        for entry in _TABLE
    )


def copy_changed(paths: Iterable[Path], source: Mapping[str, Any], target: dict[str, Any]) -> None:
    """Give the document ``target`` what ``source`` has at ``paths``, and take away what it has not.

    Where ``target`` has not even the section, it gets all of it.
    """
    for *sections, last in paths:
        here, there = source, target
        for name in sections:
            if not isinstance(there.get(name), dict):
                there[name] = {**here[name]}
            here, there = here[name], there[name]
        if last in here:
            there[last] = here[last]
        else:
            there.pop(last, None)


def _compared(path: Path, before: Any, after: Any) -> Iterator[tuple[Path, tuple[Any, Any]]]:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in [*before, *(key for key in after if key not in before)]:
            yield from _compared((*path, str(key)), before.get(key), after.get(key))
    elif before != after:
        yield path, (before, after)
