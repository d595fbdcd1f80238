"""W3C Trace Context, level 2: how one service tells the next which trace a request belongs to.

``traceparent`` is ``version-trace id-parent id-flags`` in lower-case hexadecimal; ``tracestate`` is a list of
``key=value`` that tracing systems keep beside it. What breaks the specification counts as not sent: no request is
refused for it. https://www.w3.org/TR/trace-context-2/
"""

from __future__ import annotations

import random
import re

# Version ff is forbidden, as are ids of zeros. Later versions may append fields, and flags of their own.
_TRACEPARENT = re.compile(
    r"(?!ff)(?P<version>[0-9a-f]{2})-(?P<ids>(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})"
    r"(?P<further>-.*)?",
    re.DOTALL,
)
_MEMBER = re.compile(r"[a-z0-9][a-z0-9_*/@-]{0,255}=[ -+\--<>-~]{0,255}[!-+\--<>-~]")
_BLANK = " \t"

_SAMPLED = 1
_RANDOM = 2  # the trace id is random, at least its last 7 bytes
_KNOWN = _SAMPLED | _RANDOM  # the others are reserved, and passed on as zero

_MAX_MEMBERS = 32
# All that a service must be able to pass on, in characters; headers of any length would cost the backend.
_MAX_STATE = 512
_LONG_MEMBER = 128


def read_traceparent(text: str) -> str:
    """``text`` in version 00, the one that is written here; empty when it is invalid."""
    match = _TRACEPARENT.fullmatch(text.strip(_BLANK))
    if match is None:
        return ""
    version, ids, flags, further = match.groups()
    if version != "00":
        return f"00-{ids}-{int(flags, 16) & _SAMPLED:02x}"
    return "" if further is not None else f"00-{ids}-{int(flags, 16) & _KNOWN:02x}"


def read_tracestate(text: str) -> str:
    """The list in ``text``, shortened as the specification says; empty when it is invalid."""
    members = [member for part in text.split(",") if (member := part.strip(_BLANK))]
    if len(members) > _MAX_MEMBERS or not all(map(_MEMBER.fullmatch, members)):
        return ""
    # From its end on: long members go first, then the rest, the last before the first.
    by_worth = sorted(members, key=lambda member: len(member) > _LONG_MEMBER)
    while len(joined := ",".join(members)) > _MAX_STATE:
        members.remove(by_worth.pop())
    return joined


def new_traceparent() -> str:
    """The start of a trace that nobody records, for logs and backends to agree on its id."""
    # Ids must be unique, not secret; the system's generator costs two calls into the kernel a request.
    ids = f"{random.getrandbits(192):048x}"
    return f"00-{ids[:32]}-{ids[32:]}-{_RANDOM:02x}"
