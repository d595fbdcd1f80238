"""The secret that administrators show."""

from __future__ import annotations

from pathlib import Path

from gateway.config.file import ConfigError


def read_token(file: Path | None) -> str:
    """The secret in ``file``; empty when there is none.

    Raises:
        ConfigError: it cannot be read, or is empty.
    """
    if file is None:
        return ""
    try:
        token = file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"control.token_file: cannot read {file}: {error}") from None
    if not token:
        raise ConfigError(f"control.token_file: {file} is empty")
    return token
