"""Tests that are coroutines."""

import asyncio
import functools

import uvloop

_SECONDS = 30


def looped(test):
    """``test`` on an event loop of its own, ended after 30 s."""

    @functools.wraps(test)
    def run(*args, **kwargs):
        uvloop.run(asyncio.wait_for(test(*args, **kwargs), _SECONDS))

    return run
