"""BentoML: JSON over HTTP, one worker."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.matrix import JSON
from benchmarks.peers.peer import PROGRAMS, Peer, Setup


def _command(setup: Setup) -> Sequence[str | Path]:
    address = ["--host", "127.0.0.1", "--port", str(setup.http), "--timeout", "60"]
    where: list[str | Path] = ["--working-dir", PROGRAMS]
    return [setup.environment.program("bentoml"), "serve", "bentoml_service:Net", *where, *address]


PEER = Peer(
    name="BentoML",
    requirements=("bentoml==1.4.40",),
    forms=(JSON,),
    command=_command,
    variables={
        "BENTOML_DO_NOT_TRACK": "True",
        "BENTOML_CONFIG_OPTIONS": "services.net.logging.access.enabled=false",
    },
    remark="one worker, without access log",
)
