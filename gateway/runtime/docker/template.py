"""A container as a pattern for another one: everything of its own configuration, with chosen changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_COMPOSE_IMAGE = "com.docker.compose.image"
_ORIGINAL = "com.serving-gateway.original."  # + a variable: what a container of this line was made with
# Where the image's own settings show up in a container's configuration, and must not outlive the image.
_FROM_IMAGE = ("Cmd", "Entrypoint", "Healthcheck", "StopSignal", "User", "WorkingDir", "ExposedPorts", "Volumes")
_SHORT_ID = 12


@dataclass(slots=True, frozen=True)
class Change:
    """What is different about the new container: its image, and variables (None: as the first of its line had it).

    Empty changes nothing.
    """

    image: str = ""
    environment: Mapping[str, str | None] | None = None


@dataclass(slots=True, frozen=True)
class Template:
    """The pattern.

    Attributes:
        body: of the engine's API call that makes a container like it, on no network but the first.
        networks: name → how it is known there (``Aliases``, ``Links``).
        restart: its restart policy.
    """

    body: Mapping[str, Any]
    networks: Mapping[str, Mapping[str, Any]]
    restart: Mapping[str, Any]


def template(
    inspected: Mapping[str, Any], old_image: Mapping[str, Any], new_image: Mapping[str, Any], change: Change
) -> Template:
    """The pattern in what the engine tells of a container, of its image and of that with ``change``.

    The engine is to restart the new one only once it has proved itself, and nobody finds it by the names of the old.
    """
    config = _own_config(inspected["Config"], old_image.get("Config") or {})
    config["Image"] = change.image or inspected["Config"]["Image"]
    for name, value in (change.environment or {}).items():
        _set_variable(config, name, value)
    if _COMPOSE_IMAGE in config["Labels"] and new_image:
        config["Labels"] = {**config["Labels"], _COMPOSE_IMAGE: new_image["Id"]}
    host = {**inspected["HostConfig"], "RestartPolicy": {"Name": "no"}}
    networks = {
        name: {"Aliases": _aliases(endpoint, inspected), "Links": endpoint.get("Links")}
        for name, endpoint in inspected["NetworkSettings"]["Networks"].items()
    }
    return Template({**config, "HostConfig": host}, networks, inspected["HostConfig"]["RestartPolicy"])


def _own_config(config: Mapping[str, Any], image: Mapping[str, Any]) -> dict[str, Any]:
    """``config`` without what it has from its image; a host name made of an id is the container's alone."""
    own = {key: value for key, value in config.items() if not (key in _FROM_IMAGE and value == image.get(key))}
    own.pop("Hostname", None)
    own["Env"] = [entry for entry in config.get("Env") or [] if entry not in (image.get("Env") or [])]
    own["Labels"] = {
        key: value
        for key, value in (config.get("Labels") or {}).items()
        if (image.get("Labels") or {}).get(key) != value
    }
    return own


def _set_variable(config: dict[str, Any], name: str, value: str | None) -> None:
    """Set a variable, or None: back to what it was before it was set in this way for the first time."""
    label = f"{_ORIGINAL}{name}"
    before = [entry for entry in config["Env"] if entry.partition("=")[0] == name]
    others = [entry for entry in config["Env"] if entry not in before]
    original = config["Labels"].get(label, "".join(before))
    labels = {key: kept for key, kept in config["Labels"].items() if key != label}
    if value is None:
        config["Env"], config["Labels"] = others + ([original] if original else []), labels
    else:
        config["Env"], config["Labels"] = [*others, f"{name}={value}"], {**labels, label: original}


def _aliases(endpoint: Mapping[str, Any], inspected: Mapping[str, Any]) -> list[str]:
    """Without the one that the engine makes of the container's id."""
    return [alias for alias in endpoint.get("Aliases") or [] if alias != inspected["Id"][:_SHORT_ID]]
