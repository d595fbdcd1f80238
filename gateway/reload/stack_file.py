"""The file of a gateway that was made of the file of a whole stack, which is the one that people write into."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import structlog

from gateway.config.changes import copy_changed, differences, is_changeable
from gateway.config.file import ConfigError, read_config
from gateway.config.settings import GatewayConfig
from gateway.core.errors import Conflict
from gateway.reload.file import ConfigFile

_log = structlog.get_logger()


class StackFile(ConfigFile):
    """The file ``path`` under ``environ``, with what has changed in ``stack`` since this was made.

    Raises:
        ConfigError: ``stack`` is wrong, or is right only with variables that are no longer there.
    """

    def __init__(self, path: Path, environ: Mapping[str, str], stack: Path) -> None:
        self._stack = ConfigFile(stack, {})
        self._first = self._stack.load()
        super().__init__(path, environ)

    def load(self) -> GatewayConfig:
        """Read both anew.

        Raises:
            ConfigError: one of them is wrong.
            Conflict: of the stack's, something has changed that needs a restart; names the keys.
        """
        wanted = self._stack.load()
        changed = differences(self._first, wanted)
        if fixed := [".".join(key) for key in changed if not is_changeable(key)]:
            raise Conflict(f"{', '.join(fixed)}: needs a restart")
        settings = super().load()
        if not changed:
            return settings
        document = settings.model_dump(mode="json")
        copy_changed(changed, wanted.model_dump(mode="json"), document)
        return read_config(document)

    def _digest(self) -> bytes | None:
        own, stack = super()._digest(), self._stack._digest()
        return None if own is None or stack is None else own + stack


def of_stack(stack: Path, path: Path, environ: Mapping[str, str]) -> ConfigFile:
    """The file ``path`` with what changes in ``stack``, where that can be followed."""
    try:
        return StackFile(path, environ, stack)
    except ConfigError as error:  # it may be one only with the variables that `gateway launch` had
        _log.warning("what changes in the stack's file is not obeyed", problem=str(error))
        return ConfigFile(path, environ)
