"""What changes in the file of ``gateway up`` while it runs reaches the gateway, whose own file is made from it."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any

import structlog

from gateway.config.changes import Path as Key
from gateway.config.changes import differences, is_changeable
from gateway.config.file import ConfigError, dump_config, load_config, read_config
from gateway.config.settings import GatewayConfig
from gateway.reload.file import ConfigFile

_log = structlog.get_logger()


class Following:
    """Follows ``file``, which ``read`` reads and gave as ``settings`` when the stack was started."""

    def __init__(self, file: ConfigFile, read: Callable[[], GatewayConfig], settings: GatewayConfig) -> None:
        self._file = file
        self._read = read
        self._settings = settings

    async def follow(self, target: Path, news: Callable[[str, str], None]) -> None:
        """Bring ``target``, which the gateway watches, up to date with each change, and say so; for ever."""

        async def changed() -> None:
            news("", await asyncio.to_thread(self.hand_on, target))

        if self._settings.watch:
            await self._file.watch(changed)

    def hand_on(self, target: Path) -> str:
        """Write into ``target`` what has changed; returns what there is to say about it."""
        try:
            settings = self._read()
            found = differences(self._settings, settings)
            if fixed := [".".join(key) for key in found if not is_changeable(key)]:
                return f"configuration not changed: {', '.join(fixed)}: needs a restart"
            if not found:
                return "configuration unchanged"
            document = load_config(target, {}).model_dump(mode="json")
            wanted = settings.model_dump(mode="json")
            for key in found:
                _copy(key, wanted, document)
            # The new name appears with all of the content: the gateway never reads half a file.
            whole = target.with_name(f"{target.name}.new")
            whole.write_text(dump_config(read_config(document)), encoding="utf-8")
            shutil.copymode(target, whole)  # the servers' user in a container reads it
            whole.replace(target)
        except (ConfigError, OSError) as error:
            return f"configuration not changed: {error}"
        self._settings = settings
        return f"configuration handed on to the gateway: {', '.join('.'.join(key) for key in found)}"


async def serve_following(serving: Coroutine[Any, Any, None], source: Path, target: Path) -> None:
    """Run ``serving``, a gateway that watches ``target``, and hand on to it what changes in ``source`` meanwhile."""
    file = ConfigFile(source, {})
    try:
        following = Following(file, file.load, file.load())
    except ConfigError as error:  # it may be one only with the variables that `gateway launch` had
        _log.warning("what changes in the stack's file is not obeyed", problem=str(error))
        await serving
        return

    def told(_: str, news: str) -> None:
        _log.info(news)

    handing_on = asyncio.create_task(following.follow(target, told), name="configuration of the stack")
    try:
        await serving
    finally:
        handing_on.cancel()


def _copy(key: Key, source: Mapping[str, Any], target: dict[str, Any]) -> None:
    """Give ``target`` what is at ``key`` in ``source``; nothing if there is nothing."""
    *sections, last = key
    for name in sections:
        source, target = source[name], target[name]
    if last in source:
        target[last] = source[last]
    else:
        target.pop(last, None)
