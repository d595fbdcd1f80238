"""Answers kept for requests that are equal: bounded by bytes, the least recently used go first."""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass

from gateway.core.datatypes import Datatype
from gateway.core.messages import NO_PARAMETERS, InferResponse, Parameter
from gateway.core.tensors import Tensor

# Says who answered, in the place of a backend's name.
CACHE = "cache"
# What an answer and each of its tensors take beside their data, in bytes (by tracemalloc, on CPython 3.11): many small
# answers must be bounded too.
ANSWER_BYTES = 500
TENSOR_BYTES = 250
# An answer over this share of the bound would push out too many others.
_LARGEST_SHARE = 8

# Only of what the garbage collector need not look into: a full collection would take 0.2 s for 250,000 objects.
_PlainTensor = tuple[str, str, tuple[int, ...], bytes]
_PlainAnswer = tuple[str, str, tuple[_PlainTensor, ...], tuple[tuple[str, Parameter], ...]]
# With its size in bytes, the time when it expires, and the number of its scope.
_Entry = tuple[_PlainAnswer, int, float, int]
_DATATYPES = {datatype.value: datatype for datatype in Datatype}


@dataclass(slots=True, eq=False)
class Scope:
    """The answers of one version of a model since it was loaded last.

    Attributes:
        number: unique in the process; part of the keys of its answers.
        open: False once the version was loaded anew or is served no more: what still comes is not kept.
    """

    number: int
    open: bool = True


class ResponseCache:
    """Holds at most ``limit`` bytes, each answer for ``ttl`` seconds (None: until it is pushed out).

    Attributes:
        limit: the bound in bytes.
        nbytes: bytes that the answers take now, their bookkeeping included.
    """

    def __init__(self, limit: int, ttl: float | None = None) -> None:
        self.limit = limit
        self.nbytes = 0
        self._ttl = math.inf if ttl is None else ttl
        self._entries: OrderedDict[bytes, _Entry] = OrderedDict()
        self._scopes: dict[tuple[str, str], Scope] = {}
        self._opened = 0

    def __len__(self) -> int:
        return len(self._entries)

    def open(self, model: str, version: str) -> Scope:
        """An empty scope for ``version`` of ``model``; what it answered before is forgotten."""
        self.close(model, version)
        self._opened += 1
        scope = self._scopes[model, version] = Scope(self._opened)
        return scope

    def scope(self, model: str, version: str) -> Scope:
        """That of ``version`` of ``model`` with all that it has answered, or an empty one."""
        return self._scopes.get((model, version)) or self.open(model, version)

    def close(self, model: str, version: str = "") -> None:
        """Forget what ``version`` of ``model`` answered, without ``version`` what all of them did."""
        gone = [(name, each) for name, each in self._scopes if name == model and version in ("", each)]
        numbers = set()
        for name in gone:
            scope = self._scopes.pop(name)
            scope.open = False
            numbers.add(scope.number)
        # A look at all entries costs less than a list for each scope: models are seldom loaded.
        for key in [key for key, entry in self._entries.items() if entry[3] in numbers] if numbers else ():
            self._drop(key)

    def get(self, key: bytes, now: float) -> InferResponse | None:
        """The answer under ``key``, as an object of the caller's own; ``now`` in seconds, of any steady clock."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        answer, _, expires, _ = entry
        if expires <= now:
            self._drop(key)
            return None
        self._entries.move_to_end(key)
        return _full(answer)

    def put(self, scope: Scope, key: bytes, response: InferResponse, now: float) -> int:
        """Keep ``response``, unless it is too large or ``scope`` is closed; returns how many others had to go."""
        nbytes = _size(response)
        if not scope.open or nbytes > self.limit // _LARGEST_SHARE:
            return 0
        if key in self._entries:
            self._drop(key)
        self._entries[key] = (_plain(response), nbytes, now + self._ttl, scope.number)
        self.nbytes += nbytes
        evicted = 0
        while self.nbytes > self.limit:
            self._drop(next(iter(self._entries)))
            evicted += 1
        return evicted

    def _drop(self, key: bytes) -> None:
        self.nbytes -= self._entries.pop(key)[1]


def _size(response: InferResponse) -> int:
    parameters = len(repr(response.parameters)) if response.parameters else 0
    return ANSWER_BYTES + parameters + sum([TENSOR_BYTES + tensor.nbytes for tensor in response.outputs])


def _plain(response: InferResponse) -> _PlainAnswer:
    # Copies: a view would keep all of a backend's message in memory, and could see it change.
    outputs = [(each.name, each.datatype.value, each.shape, bytes(each.data)) for each in response.outputs]
    return response.model, response.version, tuple(outputs), tuple(response.parameters.items())


def _full(answer: _PlainAnswer) -> InferResponse:
    model, version, outputs, parameters = answer
    tensors = [Tensor(name, _DATATYPES[datatype], shape, data) for name, datatype, shape, data in outputs]
    return InferResponse(model, version, tuple(tensors), parameters=dict(parameters) if parameters else NO_PARAMETERS)
