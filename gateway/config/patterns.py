"""Regular expressions that run on what strangers send: none may take for ever, whatever the text."""

from __future__ import annotations

import re
from collections.abc import Iterable
from re import _parser  # type: ignore[attr-defined]  # it alone knows what a pattern means
from typing import Annotated, Any

from pydantic import AfterValidator

_LONGEST = 256  # characters
_MOST_REPEATS = 3  # the time grows with the length of the text to this power: 3 ms, and 0.2 s with one more

_REPEATS = (_parser.MAX_REPEAT, _parser.MIN_REPEAT)
_GROUPS = (_parser.SUBPATTERN, _parser.ASSERT, _parser.ASSERT_NOT)
_PLAIN = (_parser.LITERAL, _parser.NOT_LITERAL, _parser.ANY, _parser.IN, _parser.AT)


def _pattern(value: str) -> str:
    if len(value) > _LONGEST:
        raise ValueError(f"a pattern of at most {_LONGEST} characters is expected")
    try:
        parsed = _parser.parse(value)
        re.compile(value)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"not a regular expression: {error}") from None
    if _count_repeats(parsed, repeated=False) > _MOST_REPEATS:
        raise ValueError(f"at most {_MOST_REPEATS} repeats (*, +, ?, {{m,n}}) are expected: more may take for ever")
    return value


def _count_repeats(items: Iterable[tuple[Any, Any]], *, repeated: bool) -> int:
    """The repeats of no fixed number in a part of a pattern; ``repeated``: it stands in a repeat.

    Raises:
        ValueError: something in a repeat fits the same text in several ways, or nobody knows what it does.
    """
    number = 0
    for kind, argument in items:
        if kind in _REPEATS:
            least, most, inner = argument
            if least != most and repeated:
                raise ValueError("a repeat in a repeat, as in (a+)*, may take for ever")
            number += (least != most) + _count_repeats(inner, repeated=repeated or most > 1)
        elif kind in _GROUPS:
            number += _count_repeats(argument[-1], repeated=repeated)
        elif kind is _parser.BRANCH:
            if repeated:
                raise ValueError("a choice in a repeat, as in (a|b)*, may take for ever")
            number += sum(_count_repeats(branch, repeated=False) for branch in argument[1])
        elif kind not in _PLAIN:
            raise ValueError(f"{str(kind).lower()} is not supported")
    return number


Pattern = Annotated[str, AfterValidator(_pattern)]
