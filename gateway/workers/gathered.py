"""What several workers answer to the same question, as one answer."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

# Of each worker that answered, by its number.
Documents = Mapping[int, Any]
Merge = Callable[[Documents], Any]

# A replica that one worker does not use is none that all use.
_REPLICA_STATES = ("down", "draining", "up")
# What tells apart the objects of a list.
_KEYS = ("name", "version", "batch_size")


def merge_of(path: str) -> Merge | None:
    """How answers for ``path``, as a client sent it, become one; None when every worker says the same."""
    path = path.rstrip("/")
    return next((merge for pattern, merge in _MERGES if pattern.fullmatch(path)), None)


def backends(documents: Documents) -> Any:
    """A model is ready where it is for all; a problem that not all have says whose it is."""
    merged = {}
    for name, told in _by_key(documents).items():
        models = {model: _model(states) for model, states in _by_key(_field(told, "models")).items()}
        merged[name] = {**_first(told), "models": models, "replicas": replicas(_field(told, "replicas"))}
    return merged


def replicas(documents: Documents) -> Any:
    """Requests in flight of all; a state is the worst that any has."""
    return {
        address: {
            "state": min((each["state"] for each in states.values()), key=_REPLICA_STATES.index),
            "in_flight": sum(each["in_flight"] for each in states.values()),
        }
        for address, states in _by_key(documents).items()
    }


def sums(documents: Documents) -> Any:
    """Counts are added up; of what is largest, the largest. Objects in lists are the same when their names are."""
    first = _first(documents)
    if isinstance(first, dict):
        return {key: _largest_or_sum(key, told) for key, told in _by_key(documents).items()}
    if isinstance(first, list):
        listed: dict[tuple[Any, ...], dict[int, Any]] = {}
        for worker, objects in documents.items():
            for each in objects:
                listed.setdefault(tuple(each.get(key) for key in _KEYS), {})[worker] = each
        return [sums(listed[key]) for key in sorted(listed, key=lambda key: key[-1] or 0)]
    return first if isinstance(first, str) else sum(documents.values())


def samples(documents: Documents, of: int) -> Any:
    """Oldest first, each with its worker and a number that is its own among those of ``of`` workers."""
    kept = [
        {**each, "number": _numbered(each["number"], worker, of), "worker": worker}
        for worker, listed in documents.items()
        for each in listed
    ]
    return sorted(kept, key=lambda sample: sample["at"])


def sample_of(number: int, of: int) -> tuple[int, int]:
    """The worker that keeps the sample ``number``, and its number there; see ``samples``."""
    own, worker = divmod(number - 1, of)
    return worker, own + 1


def _numbered(number: int, worker: int, of: int) -> int:
    return (number - 1) * of + worker + 1


def _largest_or_sum(key: str, told: Documents) -> Any:
    if isinstance(_first(told), (dict, list)):  # a model may have any name
        return sums(told)
    if key in _KEYS:
        return _first(told)
    if key == "last_inference" or key.startswith("max_"):
        return max(told.values(), key=float)  # a text stands for what JSON has no number for
    return sums(told)


def _model(states: Documents) -> Any:
    versions = {version: _ready(of_version) for version, of_version in _by_key(_field(states, "versions")).items()}
    return {**_ready(states), "versions": versions}


def _ready(states: Documents) -> dict[str, Any]:
    problems = {worker: state["problem"] for worker, state in states.items() if state["problem"]}
    worker, problem = next(iter(problems.items()), (0, ""))
    if 0 < len(problems) < len(states):
        problem = f"worker {worker}: {problem}"
    return {"ready": all(state["ready"] for state in states.values()), "problem": problem}


def _field(documents: Documents, name: str) -> Documents:
    return {worker: document[name] for worker, document in documents.items()}


def _by_key(documents: Documents) -> dict[str, dict[int, Any]]:
    """The entries of several objects, by their key and then by worker."""
    entries: dict[str, dict[int, Any]] = {}
    for worker, document in documents.items():
        for key, value in document.items():
            entries.setdefault(key, {})[worker] = value
    return entries


def _first(documents: Documents) -> Any:
    return next(iter(documents.values()))


_MERGES: Iterable[tuple[re.Pattern[str], Merge]] = [
    (re.compile(pattern), merge)
    for pattern, merge in (
        (r"/backends", backends),
        (r"/backends/[^/]+/replicas/(refresh|[^/]+/drain)", replicas),
        (r"/shadow", sums),
        (r"/v2/models/stats", sums),
        (r"/v2/models/[^/]+(/versions/[^/]+)?/stats", sums),
    )
]
