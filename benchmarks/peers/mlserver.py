"""MLServer: the Open Inference Protocol over HTTP (JSON) and gRPC, with a runtime of our own for the net."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from benchmarks.matrix import GRPC, JSON, MODEL
from benchmarks.peers.peer import Peer, Setup

_MOST_BYTES = 64 * 1024 * 1024


def _command(setup: Setup) -> Sequence[str | Path]:
    server = {
        "host": "127.0.0.1",
        "http_port": setup.http,
        "grpc_port": setup.grpc,
        "grpc_max_message_length": _MOST_BYTES,
        "metrics_endpoint": None,
        "parallel_workers": 0,  # the net is so small that handing it to another process costs more
        "debug": False,
        "gzip_enabled": False,
    }
    model = {"name": MODEL, "implementation": "mlserver_runtime.Net", "parameters": {"uri": str(setup.model)}}
    for name, content in (("settings.json", server), ("model-settings.json", model)):
        (setup.folder / name).write_text(json.dumps(content), encoding="utf-8")
    return [setup.environment.program("mlserver"), "start", setup.folder]


PEER = Peer(
    name="MLServer",
    requirements=("mlserver==1.7.1",),
    forms=(JSON, GRPC),
    command=_command,
    remark="in one process, without its worker pool; over HTTP it speaks JSON only",
)
