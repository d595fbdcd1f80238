"""The file of a running gateway: read anew, and watched."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from gateway.config.file import ConfigError, load_config
from gateway.config.settings import GatewayConfig

_INTERVAL = 1.0  # seconds between two looks


class ConfigFile:
    """The YAML file ``path`` (None: the default stack) under ``environ``; to be made before it is read first.

    By its content alone it is known to have changed: a name that stands for another file from one moment to the next
    is as good as one that is written to.
    """

    def __init__(self, path: Path | None, environ: Mapping[str, str] = os.environ) -> None:
        self._path = path
        self._environ = environ
        self._settled = Settled(self._digest())

    def load(self) -> GatewayConfig:
        """Read it anew.

        Raises:
            ConfigError: as ``load_config``; or it is a pipe, which cannot be read twice.
        """
        if self._path is not None and self._path.exists() and not self._path.is_file():
            raise ConfigError(f"{self._path}: only a regular file can be read anew")
        return load_config(self._path, self._environ)

    async def watch(self, changed: Callable[[], Awaitable[None]], interval: float = _INTERVAL) -> None:
        """Call ``changed`` whenever it has new content, once that stays the same for ``interval`` seconds; for ever."""
        while True:
            await asyncio.sleep(interval)
            if self._settled.see(await asyncio.to_thread(self._digest)):
                await changed()

    def _digest(self) -> bytes | None:
        """Of the content; None where there is nothing to read, maybe for a moment."""
        try:
            if self._path is None or not self._path.is_file():
                return None
            return hashlib.blake2b(self._path.read_bytes()).digest()
        except OSError:
            return None


class Settled:
    """Tells from looks at something, ``known`` at first, when it has changed and is not being changed any more."""

    def __init__(self, known: bytes | None) -> None:
        self._known = known
        self._last = known

    def see(self, now: bytes | None) -> bool:
        """Whether it is another one than the one known, for the second look in a row; None is nothing at all."""
        is_new = now is not None and now == self._last and now != self._known
        if is_new:
            self._known = now
        self._last = now
        return is_new
