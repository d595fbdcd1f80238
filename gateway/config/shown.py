"""A configuration as it may be shown: without the secrets in it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any

from gateway.config.changes import Path
from gateway.config.settings import GatewayConfig
from gateway.core.clients import HEADER

# Name and password in a URL. Other secrets are in files of their own, of which the configuration has the paths.
_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]*@")
_CLIENTS: Path = ("admission", "clients", "named")


class Shown:
    """How parts of ``settings`` are shown; where clients are told apart by a header of their own, it may be a token."""

    def __init__(self, *settings: GatewayConfig) -> None:
        admissions = [each.admission for each in settings]
        self._hides_clients = any(each is not None and each.clients.header != HEADER for each in admissions)

    def value(self, value: Any, path: Path = ()) -> Any:
        """``value``, as JSON has it, which stands at ``path``."""
        if isinstance(value, Mapping):
            return {self._name(key, path): self.value(each, (*path, key)) for key, each in value.items()}
        if isinstance(value, list | tuple):
            return [self.value(each) for each in value]
        return _CREDENTIALS.sub("***@", value) if isinstance(value, str) else value

    def path(self, path: Path) -> str:
        """The key at ``path``, as people write it."""
        return ".".join(self._name(name, path[:depth]) for depth, name in enumerate(path))

    def _name(self, name: str, path: Path) -> str:
        if path != _CLIENTS or not self._hides_clients:
            return name
        return f"***{hashlib.blake2b(name.encode(), digest_size=4).hexdigest()}"


def backend_addresses(settings: GatewayConfig) -> dict[str, dict[str, Any]]:
    """Of each backend its kind and where it is."""
    told = {"kind", "url", "grpc", "engine"}
    return {name: backend.model_dump(include=told, exclude_none=True) for name, backend in settings.backends.items()}
