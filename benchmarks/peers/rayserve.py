"""Ray Serve: one replica behind its HTTP proxy, JSON and plain bytes."""

from __future__ import annotations

from benchmarks.environment import our_version
from benchmarks.matrix import BINARY, JSON
from benchmarks.peers.peer import PROGRAMS, Peer

PEER = Peer(
    name="Ray Serve",
    requirements=(our_version("ray").replace("ray==", "ray[serve]=="),),
    forms=(JSON, BINARY),
    command=lambda setup: [setup.environment.python, PROGRAMS / "ray_serve.py"],
    variables={"RAY_USAGE_STATS_ENABLED": "0"},
    remark="one replica, without access log; its processes are counted together",
)
