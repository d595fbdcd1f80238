"""Whether a server that has been ready still answers."""

from __future__ import annotations

import errno
from functools import partial

import aiohttp

from gateway.runtime.hanging import HUNG_SECONDS, until_hung

# Long, for one that has much to do answers late; but one question that is lost must not be enough.
_ASK_SECONDS = HUNG_SECONDS / 2


async def until_silent(url: str) -> None:
    """Return when the server that answers ``url`` has not done so for ``HUNG_SECONDS``."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_ASK_SECONDS)) as session:
        await until_hung(partial(_shows_life, session, url))


async def _shows_life(session: aiohttp.ClientSession, url: str) -> bool:
    """Whatever it answers: it is asked whether it runs, not whether it is well."""
    try:
        async with session.get(url) as answer:
            await answer.read()
    except TimeoutError:
        return False
    except aiohttp.ClientConnectorError as error:
        # Where nobody listens nobody lives. Anything else, such as no file descriptor, is this process's own trouble.
        return error.errno != errno.ECONNREFUSED
    except aiohttp.ClientError:
        return True  # the connection was closed at the other end, which one that hangs does not do
    return True
