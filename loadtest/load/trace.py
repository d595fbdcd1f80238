"""Reads the arrivals that were recorded elsewhere, such as an access log's or those of Azure's published traces.

One timestamp a line, CSV with a header, or JSON lines; the column or key is called ``timestamp`` in any case of
letters. Timestamps are seconds or ISO 8601 (without an offset: UTC). Files that end in ``.gz`` are unpacked.
"""

from __future__ import annotations

import csv
import gzip
import itertools
import json
import re
import zlib
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from loadtest.clock import NS
from loadtest.errors import BadSpec

_COLUMN = "timestamp"
_FORMS = "seconds such as 12.5, or ISO 8601 such as 2024-05-10T00:00:00.0099300Z"
_LONGEST = 366 * 24 * 3600 * NS
# Date and time to the second, any number of fractional digits (datetime knows only six), offset.
_ISO = re.compile(r"(\d{4}-?\d\d-?\d\d[T ]\d\d:?\d\d:?\d\d)(?:[.,](\d+))?(Z|[+-]\d\d:?\d\d)?", re.ASCII)

Line = tuple[int, str]


@lru_cache(maxsize=8)
def read_trace(file: str) -> npt.NDArray[np.int64]:
    """Arrivals in ns since the first, ascending and read-only, kept so that every block replays the same ones.

    Lines may be in any order, as a log that is written when requests end, or by several processes, has them: nothing
    but their times is used, so that sorting them loses nothing.

    Raises:
        BadSpec: the file cannot be read; the sentence names the line.
    """
    try:
        with _opened(file) as lines:
            stamps = [_nanoseconds(text, file, number) for number, text in _timestamps(lines, file)]
    except (OSError, EOFError, zlib.error, csv.Error) as error:
        raise BadSpec(f"trace '{file}': {getattr(error, 'strerror', None) or error}") from None
    except UnicodeDecodeError:
        raise BadSpec(f"trace '{file}' is not a text in UTF-8") from None
    first, last = min(stamps, default=0), max(stamps, default=0)
    if first == last:
        raise BadSpec(f"trace '{file}' has {len(stamps)} arrivals at one time: two at different times are the least")
    if last - first > _LONGEST:
        raise BadSpec(f"trace '{file}' spans {(last - first) / NS:,.0f} s, and more than a year is no trace of seconds")
    times = np.array(sorted(stamp - first for stamp in stamps), dtype=np.int64)
    times.flags.writeable = False
    return times


def _opened(file: str) -> IO[str]:
    path = Path(file)
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def _timestamps(lines: Iterable[str], file: str) -> Iterator[Line]:
    """The timestamps with their lines' numbers; the first line says how the file is written."""
    filled = ((number, line.strip()) for number, line in enumerate(lines, 1) if line.strip())
    first = next(filled, None)
    if first is None:
        raise BadSpec(f"trace '{file}' is empty: it should have one timestamp a line, {_FORMS}")
    everything = itertools.chain((first,), filled)
    if first[1].startswith("{"):
        return _from_json(everything, file)
    return everything if _parsed(first[1]) is not None else _from_csv(everything, file)


def _from_json(lines: Iterator[Line], file: str) -> Iterator[Line]:
    for number, line in lines:
        try:
            # Numbers as they are written: a float has no nanoseconds left after 1970's first months.
            fields = json.loads(line, parse_float=str, parse_int=str)
        except ValueError as error:
            raise BadSpec(f"trace '{file}', line {number}: not JSON: {error}") from None
        names = {name.strip().lower(): name for name in fields} if isinstance(fields, dict) else {}
        if _COLUMN not in names:
            raise BadSpec(f"trace '{file}', line {number}: '{line[:80]}' is no JSON object with a '{_COLUMN}'")
        yield number, str(fields[names[_COLUMN]])


def _from_csv(lines: Iterator[Line], file: str) -> Iterator[Line]:
    number = 0

    def texts() -> Iterator[str]:
        nonlocal number
        for number, line in lines:  # noqa: B007 - the number of the line that the reader took last
            yield line

    rows = csv.reader(texts())
    header = [name.strip().lower() for name in next(rows)]
    if _COLUMN not in header:
        raise BadSpec(
            f"trace '{file}', line {number}: '{','.join(header)[:80]}' is neither a timestamp ({_FORMS})"
            f" nor a CSV header with a column '{_COLUMN}'"
        )
    column = header.index(_COLUMN)
    for row in rows:
        if len(row) <= column:
            raise BadSpec(f"trace '{file}', line {number}: {len(row)} columns, but '{_COLUMN}' is number {column + 1}")
        yield number, row[column]


def _nanoseconds(text: str, file: str, number: int) -> int:
    parsed = _parsed(text)
    if parsed is None:
        raise BadSpec(f"trace '{file}', line {number}: '{text[:80]}' is no timestamp: {_FORMS}")
    return parsed


def _parsed(text: str) -> int | None:
    """In ns, exactly, since whenever the timestamp counts from; None: not a timestamp."""
    text = text.strip()
    try:
        seconds = Decimal(text)
    except InvalidOperation:
        return _parsed_iso(text)
    # Greater exponents are no time, and would take one to be written out.
    return round(seconds * NS) if seconds.is_finite() and abs(seconds.adjusted()) < 18 else None


def _parsed_iso(text: str) -> int | None:
    found = _ISO.fullmatch(text)
    if found is None:
        return None
    whole, fraction, offset = found.groups()
    try:
        moment = datetime.fromisoformat(whole + (offset or ""))
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    nanoseconds = int((fraction or "0").ljust(9, "0")[:9])
    return int(moment.timestamp()) * NS + nanoseconds
