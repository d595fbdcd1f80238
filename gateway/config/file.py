"""Read the configuration: the defaults, then the YAML file, then ``GATEWAY_…`` environment variables.

``GATEWAY_HTTP__PORT=9000`` sets ``http.port``. Every error names where the value came from, its key and the value.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from gateway.config.settings import GatewayConfig

ENV_PREFIX = "GATEWAY_"
# Variables of the same prefix that belong to somebody else: the engines' settings and the store's place.
_ENV_FOREIGN = ("GATEWAY_ENGINE_", "GATEWAY_MODEL_STORE")


class ConfigError(Exception):
    """The configuration is wrong; the message is complete and meant for the user."""


def default_config() -> dict[str, Any]:
    """The stack that ``gateway up`` starts when no file is given: three local backends on their usual ports."""
    return {
        "backends": {
            "torchserve": {"kind": "torchserve", "url": "http://127.0.0.1:8080", "launch": {}},
            "tensorflow": {
                "kind": "tfserving",
                "grpc": "127.0.0.1:8500",
                "url": "http://127.0.0.1:8501",
                "launch": {},
            },
            "onnxruntime": {"kind": "oip", "url": "http://127.0.0.1:9000", "grpc": "127.0.0.1:9001", "launch": {}},
        }
    }


def load_config(path: Path | None, environ: Mapping[str, str] = os.environ) -> GatewayConfig:
    """The configuration in the YAML file ``path`` (None: the default stack) under the environment's overrides.

    Raises:
        ConfigError: the file cannot be read, or a value is wrong; names source, key and value.
    """
    source = str(path) if path is not None else "default configuration"
    data = _read_yaml(path) if path is not None else default_config()
    origins = _apply_environment(data, environ)
    if path is None and "GATEWAY_MODEL_STORE" in environ:
        data.setdefault("model_store", environ["GATEWAY_MODEL_STORE"])
    return _validated(data, source, origins)


def read_config(document: Any) -> GatewayConfig:
    """The configuration in ``document``, which came from nowhere that a message could name; raises ConfigError."""
    return _validated(document, "", {})


def dump_config(config: GatewayConfig) -> str:
    """``config`` as YAML that ``load_config`` reads back to an equal configuration."""
    # Nulls stay: a listener that is switched off must not become its default.
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)


def _validated(document: Any, source: str, origins: Mapping[str, str]) -> GatewayConfig:
    try:
        return GatewayConfig.model_validate(document)
    except ValidationError as error:
        raise ConfigError(_explain(error, source, origins)) from None


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8: {error.reason} at byte {error.start}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # a date that is none, lists in lists without end
        raise ConfigError(f"{path}: not valid YAML: {error}") from None
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: a mapping of settings is expected, got {type(data).__name__}")
    return data


def _apply_environment(data: dict[str, Any], environ: Mapping[str, str]) -> dict[str, str]:
    """Write the overrides into ``data``; returns which variable set which key."""
    origins: dict[str, str] = {}
    for variable, text in environ.items():
        if not variable.startswith(ENV_PREFIX) or variable.startswith(_ENV_FOREIGN):
            continue
        keys = variable.removeprefix(ENV_PREFIX).lower().split("__")
        if keys[0] not in GatewayConfig.model_fields:
            raise ConfigError(f"environment variable {variable}: no setting is called {keys[0]!r}")
        section = data
        for key in keys[:-1]:
            section = section.setdefault(key, {})
            if not isinstance(section, dict):
                raise ConfigError(f"environment variable {variable}: {key!r} holds no settings of its own")
        section[keys[-1]] = yaml.safe_load(text)
        origins[".".join(keys)] = variable
    return origins


def _explain(error: ValidationError, source: str, origins: Mapping[str, str]) -> str:
    lines = []
    for problem in error.errors(include_url=False):
        path = [str(part) for part in problem["loc"]]
        if path[:1] == ["backends"]:
            del path[2:3]  # the kind, which pydantic puts into the path and the user's file does not have
        key = ".".join(path)
        origin = f"environment variable {origins[key]}" if key in origins else source
        message = problem["msg"].removeprefix("Value error, ")
        if problem["type"] == "extra_forbidden":
            message = "unknown key"
        value = "" if problem["type"] == "missing" or not key else f" (got {problem['input']!r})"
        lines.append(": ".join(part for part in (origin, key, message) if part) + value)
    return "\n".join(lines)
