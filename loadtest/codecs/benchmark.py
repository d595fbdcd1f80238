"""What it costs to read and to write each wire form of a tensor, in this process and without any server."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from random import Random
from time import perf_counter

import msgspec
import numpy as np
import orjson

from gateway.core.tensors import Tensor
from loadtest.codecs.calls import codec_calls, decode_oip_json, oip_json_body
from loadtest.progress import Progress
from loadtest.results.environment import Environment
from loadtest.results.machine import this_environment
from loadtest.statistics.estimate import Interval
from loadtest.statistics.quantiles import percentile, quantile_interval

SIZES = {"3 KB": 784, "1 MB": 250_000, "10 MB": 2_500_000}  # FP32 elements
PICTURE = (1, 3, 224, 224)
_ELEMENT = 4  # bytes
_BLOCK = 0.005  # seconds that a block of calls takes at least


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """One direction of one form at one size; ``seconds`` for a call, with the interval of the blocks' median."""

    seconds: float
    interval: Interval | None
    bytes_per_second: float


class FormResult(msgspec.Struct, frozen=True, kw_only=True):
    """One form: costs by size, and the greatest heap during a call as a multiple of the tensor's bytes.

    The heap is Python's: what the protobuf library allocates by itself is not in it.
    """

    form: str
    decode: dict[str, Cost]
    encode: dict[str, Cost]
    decode_heap: float
    encode_heap: float


class JSONSpeed(msgspec.Struct, frozen=True, kw_only=True):
    """Reading an OIP body of JSON, checks and tensor included, against orjson on the same bytes, in turns.

    ``share`` is the median over the pairs of (orjson's time ÷ ours).
    """

    shape: tuple[int, ...]
    body_bytes: int
    seconds: float
    orjson_seconds: float
    share: float
    share_interval: Interval | None


class CodecsReport(msgspec.Struct, frozen=True, kw_only=True):
    """The whole measurement; ``sizes`` are the tensors' bytes."""

    rounds: int
    seed: int
    machine: Environment
    sizes: dict[str, int]
    forms: tuple[FormResult, ...]
    json_speed: JSONSpeed


def run_codecs(*, rounds: int, seed: int, progress: Progress, sizes: dict[str, int] = SIZES) -> CodecsReport:
    """Measure every form in ``rounds`` blocks, in a new order each round; ``sizes`` are elements of FP32 by title."""
    try:
        calls = _all_calls(sizes)
        timed = {key: _Timed(call) for key, call in calls.items()}
        random = Random(seed)  # noqa: S311
        keys = list(timed)
        for number in range(1, rounds + 1):
            progress(f"Measuring, round {number} of {rounds}")
            random.shuffle(keys)
            for key in keys:
                timed[key].run_block()
        progress("Comparing with orjson")
        speed = _json_speed(rounds)
    finally:
        progress("")
    heap_size = max(sizes, key=lambda title: sizes[title])  # where envelopes and headers count for nothing

    def costs(form: str, direction: str) -> dict[str, Cost]:
        return {title: timed[form, direction, title].cost(count * _ELEMENT) for title, count in sizes.items()}

    def heap(form: str, direction: str) -> float:
        return _peak(calls[form, direction, heap_size]) / (sizes[heap_size] * _ELEMENT)

    return CodecsReport(
        rounds=rounds,
        seed=seed,
        machine=this_environment({}),
        sizes={title: count * _ELEMENT for title, count in sizes.items()},
        forms=tuple(
            FormResult(
                form=form,
                decode=costs(form, "decode"),
                encode=costs(form, "encode"),
                decode_heap=heap(form, "decode"),
                encode_heap=heap(form, "encode"),
            )
            for form in dict.fromkeys(form for form, _, _ in calls)
        ),
        json_speed=speed,
    )


class _Timed:
    """A call, timed in blocks that are long enough for the clock."""

    def __init__(self, call: Callable[[], object]) -> None:
        self._call = call
        self._seconds: list[float] = []
        call()
        self._count = max(1, int(_BLOCK / _seconds(call)))

    def run_block(self) -> None:
        started = perf_counter()
        for _ in range(self._count):
            self._call()
        self._seconds.append((perf_counter() - started) / self._count)

    def cost(self, size: int) -> Cost:
        median = percentile(np.sort(self._seconds), 0.5)
        return Cost(seconds=median, interval=quantile_interval(self._seconds), bytes_per_second=size / median)


def _all_calls(sizes: dict[str, int]) -> dict[tuple[str, str, str], Callable[[], object]]:
    """Every call by form, direction and size."""
    calls: dict[tuple[str, str, str], Callable[[], object]] = {}
    for title, count in sizes.items():
        for codec in codec_calls(_tensor((1, count))):
            calls[codec.form, "decode", title] = codec.decode
            calls[codec.form, "encode", title] = codec.encode
    return calls


def _tensor(shape: tuple[int, ...]) -> Tensor:
    return Tensor.from_numpy("input", np.random.default_rng(0).standard_normal(shape, dtype=np.float32))


def _json_speed(rounds: int) -> JSONSpeed:
    body = oip_json_body(_tensor(PICTURE))
    ours: list[float] = []
    theirs: list[float] = []
    for _ in range(2 * rounds):
        theirs.append(_seconds(lambda: orjson.loads(body)))
        ours.append(_seconds(lambda: decode_oip_json(body)))
    shares = np.array(theirs) / np.array(ours)
    return JSONSpeed(
        shape=PICTURE,
        body_bytes=len(body),
        seconds=percentile(np.sort(ours), 0.5),
        orjson_seconds=percentile(np.sort(theirs), 0.5),
        share=float(np.median(shares)),
        share_interval=quantile_interval(shares),
    )


def _seconds(call: Callable[[], object]) -> float:
    started = perf_counter()
    call()
    return perf_counter() - started


def _peak(call: Callable[[], object]) -> int:
    """Bytes that the heap grew by at most during ``call``."""
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        call()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
