"""LitServe: JSON over HTTP, one worker."""

from __future__ import annotations

from benchmarks.matrix import JSON
from benchmarks.peers.peer import PROGRAMS, Peer

PEER = Peer(
    name="LitServe",
    requirements=("litserve==0.2.19",),
    forms=(JSON,),
    command=lambda setup: [setup.environment.python, PROGRAMS / "litserve_server.py"],
    remark="one worker; its endpoint reads JSON",
)
