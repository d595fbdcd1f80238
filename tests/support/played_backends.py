"""Backends that do as they are told, behind a stand-in for ``Balance``."""

import asyncio

from gateway.core.errors import NoHealthyBackend
from support.services import echo


class PlayedBackends:
    """A service that asks the first backend, in order of its name, that the request has not tried.

    A backend does what its list says, one act a request, and answers at once after its end: a number is waited for, in
    seconds, an exception raised; a pair of both is both. ``asked`` names the backends in the order in which they were;
    ``cancelled`` those whose caller gave up. Those that are ``down`` are passed over.
    """

    def __init__(self, **played):
        self._played = {name: list(acts) for name, acts in sorted(played.items())}
        self.down = ()
        self.asked = []
        self.cancelled = []

    async def __call__(self, request):
        context = request.context
        left = [name for name in self._played if name not in (*context.tried, *self.down)]
        if not left:
            raise NoHealthyBackend("nobody is left")
        name = context.backend or left[0]
        context.served_by = name
        self.asked.append(name)
        started = asyncio.get_running_loop().time()
        try:
            await self._play(self._played[name])
        except asyncio.CancelledError:
            self.cancelled.append(name)
            raise
        finally:
            context.backend_seconds += asyncio.get_running_loop().time() - started
        return echo(request)

    async def _play(self, acts):
        act = acts.pop(0) if acts else 0.0
        seconds, error = (
            act if isinstance(act, tuple) else (0.0, act) if isinstance(act, BaseException) else (act, None)
        )
        if seconds:
            await asyncio.sleep(seconds)
        if error is not None:
            raise error
