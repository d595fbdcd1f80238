"""Finds the stack that ``gateway up`` has running, from the state file it keeps in its run directory."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec

from loadtest.errors import StackError

STATE_FILE = "state.json"


class GatewayState(msgspec.Struct):
    """The gateway's own entry; addresses are ``host:port``, empty where it does not tell."""

    state: str
    http: str
    grpc: str
    metrics: str = ""


class BackendState(msgspec.Struct):
    """One backend.

    Attributes:
        url: HTTP base; None where it has none, as ``grpc`` and ``metrics``, which are ``host:port``.
        token_file: TorchServe's key file; None when it wants no tokens.
    """

    kind: str
    server: str
    state: str
    url: str | None = None
    grpc: str | None = None
    metrics: str | None = None
    log: str = ""
    token_file: str | None = None


class StackState(msgspec.Struct):
    """What runs, and where."""

    pid: int
    phase: str
    gateway: GatewayState
    models: list[str]
    backends: dict[str, BackendState]


def read_stack(run_directory: Path) -> StackState:
    """The stack that runs in ``run_directory``.

    Raises:
        StackError: nothing runs there, it is not ready, or the file is damaged.
    """
    path = run_directory / STATE_FILE
    try:
        state = msgspec.json.decode(path.read_bytes(), type=StackState)
    except FileNotFoundError:
        raise StackError(f"no running stack ({path} does not exist); start one with: gateway up") from None
    except OSError as error:
        raise StackError(f"{path}: {error.strerror}") from None
    except msgspec.MsgspecError as error:
        raise StackError(f"{path}: not a state file of gateway up: {error}") from None
    if not Path(f"/proc/{state.pid}").exists():
        raise StackError(f"no running stack (process {state.pid} of {path} is gone); start one with: gateway up")
    if state.phase != "ready":
        raise StackError(f"the stack is {state.phase}, not ready; see: gateway status")
    return state


def read_token(token_file: str | None) -> str:
    """TorchServe's inference token; empty when it runs without tokens.

    Raises:
        StackError: the key file is missing or damaged.
    """
    if not token_file:
        return ""
    try:
        return str(json.loads(Path(token_file).read_text(encoding="utf-8"))["inference"]["key"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StackError(f"{token_file}: no inference token in it: {error}") from None
