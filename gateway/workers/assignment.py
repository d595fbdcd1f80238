"""What each worker is told to run, and how long it may take to end."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.config.settings import GatewayConfig, Listener

_OWN = Listener(port=0)  # on loopback: only the parent asks there
# Beyond what the drain may take by its own settings: ending the process itself.
_STOP_MARGIN = 5.0


def assignment(config: GatewayConfig, index: int, shared: Mapping[str, Listener]) -> GatewayConfig:
    """``config`` for the worker ``index``: the ports of ``shared`` with the others, and ports of its own for the rest.

    One worker holds the backends' answers against the models' sources for all.
    """
    return config.model_copy(
        update={
            **shared,
            "metrics": _OWN,
            "admin": None if config.admin is None else _OWN,
            "parity": config.parity if index == 0 else None,
        }
    )


def drain_seconds(config: GatewayConfig) -> float:
    """How long a worker with ``config`` takes at most until it has drained and ended, if it does not hang."""
    return config.drain.grace + config.drain.timeout + _STOP_MARGIN
