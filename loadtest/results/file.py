"""Writes and reads result files."""

from __future__ import annotations

import contextlib
import zlib
from pathlib import Path

import msgspec

from loadtest.errors import ResultsError
from loadtest.results.block import Block, unpack
from loadtest.results.report import FORMAT, Report


def save_report(report: Report, path: Path) -> None:
    """Write ``report`` as JSON; a file of that name is replaced only when all of it could be written.

    Raises:
        ResultsError: the directory or the disk does not take it.
    """
    unfinished = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=1))
        unfinished.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            unfinished.unlink()
        raise ResultsError(f"cannot write {path}: {error.strerror}") from None


def load_report(path: Path) -> Report:
    """Read what ``save_report`` wrote.

    Raises:
        ResultsError: no such file, or not one of ours.
    """
    try:
        content = path.read_bytes()
        version = msgspec.json.decode(content, type=_Format).format
        if version != FORMAT:
            raise ResultsError(f"{path}: format {version} is not known; this version reads {FORMAT}")
        report = msgspec.json.decode(content, type=Report)
        for target in report.targets:
            for block in target.blocks:
                _check(block, target.name)
    except OSError as error:
        raise ResultsError(f"{path}: {error.strerror}") from None
    except (msgspec.MsgspecError, zlib.error, ValueError) as error:
        raise ResultsError(f"{path}: not a result file of loadtest: {error}") from None
    return report


class _Format(msgspec.Struct):
    format: int


def _check(block: Block, target: str) -> None:
    answers = (block.payload, block.scheduled, block.send_lag, block.first_byte, block.response_time)
    kinds = unpack(block.failed_kind)
    if len({len(unpack(column)) for column in answers}) != 1 or len(kinds) != len(unpack(block.failed_at)):
        raise ValueError(f"a block of {target} has columns of different lengths")
    if len(kinds) and not 0 <= kinds.min() <= kinds.max() < len(block.failures):
        raise ValueError(f"a block of {target} has failures of an unknown kind")
