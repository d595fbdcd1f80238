"""Other people's model servers: how each is installed and started, and what it speaks."""

from __future__ import annotations

from benchmarks.peers import bentoml, litserve, mlserver, rayserve
from benchmarks.peers.peer import Peer

PEERS: tuple[Peer, ...] = (mlserver.PEER, litserve.PEER, bentoml.PEER, rayserve.PEER)
