"""Makes one block of those that several workers measured at the same time. Samples are merged, never percentiles."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from loadtest.results.block import Block, Health, IntArray, ServerTimes, add_server_times, pack, unpack


def merge_blocks(blocks: Sequence[Block]) -> Block:
    """The blocks of one load and repetition, of which each worker measured its share.

    Every time in a block counts from the opening of its own worker's window, so those openings are laid upon each
    other. Latencies are differences of stamps of one clock each, and stay what they are.
    """
    first = blocks[0]
    kinds: dict[str, int] = {}
    failed_kind = [_renumbered(block, kinds) for block in blocks]
    return Block(
        load=first.load,
        repetition=first.repetition,
        restart=first.restart,
        window_seconds=max(block.window_seconds for block in blocks),
        offered=sum(block.offered for block in blocks),
        payload=_joined(block.payload for block in blocks),
        scheduled=_joined(block.scheduled for block in blocks),
        send_lag=_joined(block.send_lag for block in blocks),
        first_byte=_joined(block.first_byte for block in blocks),
        response_time=_joined(block.response_time for block in blocks),
        failed_at=_joined(block.failed_at for block in blocks),
        failed_kind=pack(np.concatenate(failed_kind)),
        failures=tuple(kinds),
        details={kind: detail for block in reversed(blocks) for kind, detail in block.details.items()},
        compared=sum(block.compared for block in blocks),
        health=_merge_health([block.health for block in blocks]),
        server_times=_merge_server_times([times for block in blocks for times in block.server_times]),
        void="; ".join(dict.fromkeys(block.void for block in blocks if block.void)),
        unfinished=any(block.unfinished for block in blocks),
    )


def _joined(columns: Iterable[bytes]) -> bytes:
    return pack(np.concatenate([unpack(column) for column in columns]))


def _renumbered(block: Block, kinds: dict[str, int]) -> IntArray:
    """The block's kinds of failures by their numbers in ``kinds``, which takes those that are new."""
    numbers = np.array([kinds.setdefault(kind, len(kinds)) for kind in block.failures], dtype=np.int64)
    renumbered: IntArray = numbers[unpack(block.failed_kind)]
    return renumbered


def _merge_health(parts: Sequence[Health]) -> Health:
    """A generator is as good as its worst worker; connections and requests in flight add up."""
    return Health(
        generator_cpu=max(part.generator_cpu for part in parts),
        loop_lag_p99=max(part.loop_lag_p99 for part in parts),
        loop_lag_max=max(part.loop_lag_max for part in parts),
        connections_opened=sum(part.connections_opened for part in parts),
        most_in_flight=sum(part.most_in_flight for part in parts),
    )


def _merge_server_times(parts: Sequence[ServerTimes]) -> tuple[ServerTimes, ...]:
    merged: dict[str, ServerTimes] = {}
    for part in parts:
        known = merged.get(part.source)
        merged[part.source] = part if known is None else _merge_source(known, part)
    return tuple(merged.values())


def _merge_source(left: ServerTimes, right: ServerTimes) -> ServerTimes:
    """Each worker has its own answers' ``Server-Timing``; a server's counters show the load of all to every worker."""
    if left.total is None or right.total is None:
        return max(left, right, key=lambda part: part.requests)
    return add_server_times(left, right)
