"""What changes in the file of ``gateway up`` while it runs reaches the gateway, whose own file is made from it."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path

from gateway.config.changes import copy_changed, differences, is_changeable
from gateway.config.file import ConfigError, dump_config, load_config, read_config
from gateway.config.settings import GatewayConfig
from gateway.reload.file import ConfigFile


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
            copy_changed(found, wanted, document)
            # The new name appears with all of the content: the gateway never reads half a file.
            whole = target.with_name(f"{target.name}.new")
            whole.write_text(dump_config(read_config(document)), encoding="utf-8")
            shutil.copymode(target, whole)  # the servers' user in a container reads it
            whole.replace(target)
        except (ConfigError, OSError) as error:
            return f"configuration not changed: {error}"
        self._settings = settings
        return f"configuration handed on to the gateway: {', '.join('.'.join(key) for key in found)}"
