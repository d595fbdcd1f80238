"""Types of single settings, and the base of every section of the configuration."""

from __future__ import annotations

import re
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field


def _device(value: str) -> str:
    kind, _, index = value.partition(":")
    if value not in ("auto", "cpu") and not (kind == "cuda" and index.isdigit()):
        raise ValueError("must be auto, cpu or cuda:N")
    return value


def _http_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path not in ("", "/"):
        raise ValueError("must be a URL such as http://127.0.0.1:8080, without a path")
    return value.rstrip("/")


def _address(value: str) -> str:
    host, separator, port = value.rpartition(":")
    if not separator or not host or not port.isdigit() or int(port) > 65535:
        raise ValueError("must be an address such as 127.0.0.1:8500")
    return value


def _backend_name(value: str) -> str:
    # The name becomes a file name in the run directory, where these two have files of their own.
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}", value) or value in ("gateway", "reaper"):
        raise ValueError("a name of letters, digits, '_', '.' and '-' is expected, other than gateway and reaper")
    return value


Device = Annotated[str, AfterValidator(_device)]
HttpUrl = Annotated[str, AfterValidator(_http_url)]
Address = Annotated[str, AfterValidator(_address)]
# YAML reads an unquoted version as a number.
Version = Annotated[str, BeforeValidator(lambda value: str(value) if type(value) is int else value)]
BackendName = Annotated[str, AfterValidator(_backend_name)]
Port = Annotated[int, Field(ge=0, le=65535)]


class Section(BaseModel):
    """Unknown keys are errors, and nothing changes once it is read."""

    model_config = ConfigDict(extra="forbid", frozen=True)
