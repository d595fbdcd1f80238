"""One short look at a server's own web pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import aiohttp

# Counters come at once or not at all; the next block is waiting.
_SECONDS = 2.0


async def fetch(urls: Sequence[str], headers: Mapping[str, str] | None = None) -> list[bytes] | None:
    """The bodies of ``urls``; None unless all of them are there."""
    try:
        async with aiohttp.ClientSession(
            headers=headers, timeout=aiohttp.ClientTimeout(total=_SECONDS), raise_for_status=True
        ) as session:
            return [await (await session.get(url)).read() for url in urls]
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
        return None
