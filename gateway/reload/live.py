"""The configuration that a running gateway obeys, and the one way in which it changes."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable
from typing import Any

import structlog

from gateway.config.changes import differences, is_changeable
from gateway.config.file import ConfigError, read_config
from gateway.config.merge_patch import merge_patch
from gateway.config.settings import GatewayConfig
from gateway.config.shown import Shown
from gateway.core.errors import Conflict, GatewayError, InvalidRequest
from gateway.core.live_config import Changes
from gateway.telemetry.reload_metrics import PATCH, ReloadMetrics

_log = structlog.get_logger()

_HASH_BYTES = 6  # a metric's value is exact to 53 bits


class LiveConfig:
    """Holds ``settings``; a change is one step: all of it or nothing, one after the other.

    ``read`` reads the file anew, if there is one; ``check`` holds a configuration against the model store; both raise
    ConfigError and may take long. ``apply`` makes the gateway obey one, or raises and changes nothing.
    ``patches_refused`` says why nothing can be patched; empty where it can.
    """

    def __init__(
        self,
        settings: GatewayConfig,
        *,
        read: Callable[[], GatewayConfig] | None,
        check: Callable[[GatewayConfig], None],
        apply: Callable[[GatewayConfig], Awaitable[None] | None],
        metrics: ReloadMetrics,
        patches_refused: str = "",
    ) -> None:
        self._settings = settings
        self._read = read
        self._check = check
        self._apply = apply
        self._metrics = metrics
        self._patches_refused = patches_refused
        self._one_at_a_time = asyncio.Lock()
        metrics.obeyed(_number(settings))

    def shown(self) -> dict[str, Any]:
        """All of it, without what is secret."""
        document: dict[str, Any] = Shown(self._settings).value(self._settings.model_dump(mode="json"))
        return document

    async def patch(self, patch: Any, *, dry_run: bool = False) -> Changes:
        """As ``ConfigControl``."""

        async def patched() -> GatewayConfig:
            if self._patches_refused:
                raise Conflict(self._patches_refused)
            if not isinstance(patch, dict):
                raise InvalidRequest("the patch: an object of settings is expected")
            return read_config(merge_patch(self._settings, patch))

        return await self._change(PATCH, patched, dry_run=dry_run)

    async def reload(self, trigger: str, *, dry_run: bool = False) -> Changes:
        """As ``ConfigControl``."""

        async def read() -> GatewayConfig:
            if self._read is None:
                raise Conflict("there is no file that this process could read anew")
            return await asyncio.to_thread(self._read)

        return await self._change(trigger, read, dry_run=dry_run)

    async def obey(self, settings: GatewayConfig) -> Changes:
        """Take ``settings``, which somebody else has read because of a signal.

        Raises:
            ConfigError: they are wrong, or need a restart; names the keys.
        """

        async def given() -> GatewayConfig:
            return settings

        try:
            return await self._change("signal", given, dry_run=False)
        except GatewayError as error:
            raise ConfigError(error.message) from None

    async def _change(self, trigger: str, make: Callable[[], Awaitable[GatewayConfig]], *, dry_run: bool) -> Changes:
        async with self._one_at_a_time:
            try:
                settings = await make()
                changes = await self._checked(settings)
                if changes and not dry_run:
                    applying = self._apply(settings)
                    if applying is not None:
                        await applying
                    self._settings = settings
            except (ConfigError, GatewayError) as error:
                if not dry_run:
                    self._note(trigger, "refused", reason=str(error))
                raise InvalidRequest(str(error)) if isinstance(error, ConfigError) else error from None
            except Exception:
                self._metrics.asked(trigger, "refused")
                _log.exception("configuration not changed", trigger=trigger)
                raise GatewayError("the configuration could not be changed; the log of the gateway says why") from None
            if not dry_run:
                self._note(trigger, "applied" if changes else "unchanged", changes=_told(changes))
                self._metrics.obeyed(_number(self._settings))
            return changes

    async def _checked(self, settings: GatewayConfig) -> Changes:
        """What differs from the present ones.

        Raises:
            Conflict: some of it needs a restart; names the keys.
            ConfigError: as ``check``.
        """
        found = differences(self._settings, settings)
        shown = Shown(self._settings, settings)
        if fixed := [shown.path(path) for path in found if not is_changeable(path)]:
            raise Conflict("; ".join(f"{key}: needs a restart" for key in fixed))
        if found:
            await asyncio.to_thread(self._check, settings)
        return {
            shown.path(path): (shown.value(before, path), shown.value(after, path))
            for path, (before, after) in found.items()
        }

    def _note(self, trigger: str, outcome: str, **what: Any) -> None:
        self._metrics.asked(trigger, outcome)
        log = _log.error if outcome == "refused" else _log.info
        log(f"configuration {outcome}", trigger=trigger, **{key: value for key, value in what.items() if value})


def _told(changes: Changes) -> str:
    return "; ".join(f"{key}: {json.dumps(before)} -> {json.dumps(after)}" for key, (before, after) in changes.items())


def _number(settings: GatewayConfig) -> int:
    document = json.dumps(settings.model_dump(mode="json"), sort_keys=True).encode()
    return int.from_bytes(hashlib.blake2b(document, digest_size=_HASH_BYTES).digest())
