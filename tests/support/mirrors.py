"""A model in a catalog, and the mirror of it before a target that does as it is told."""

import asyncio

import numpy as np

from gateway.core.backend import Endpoint
from gateway.core.catalog import Catalog, ServedModel
from gateway.core.copies import Copies
from gateway.core.differences import Tolerance
from gateway.core.mirror_tally import MirrorFindings
from gateway.core.mismatches import Mismatches
from gateway.core.signatures import Signature
from gateway.filters.mirror import Mirror, Mirroring, MirrorLimits, Target
from support.services import echo


class Recorder:
    """Notes what it is told."""

    def __init__(self):
        self.outcomes, self.dropped, self.times, self.differences = [], [], [], []

    def copy_ended(self, outcome):
        self.outcomes.append(outcome)

    def copy_dropped(self, reason):
        self.dropped.append(reason)

    def both_took(self, first, second):
        self.times.append((first, second))

    def both_answered(self, found):
        self.differences.append([each.max_abs for each in found])


class Played:
    """A target: gives the first input back, ``off`` by so much, after ``seconds``; or raises ``error``."""

    def __init__(self, off=0.0, seconds=0.0, error=None):
        self.off, self.seconds, self.error = off, seconds, error
        self.requests, self.cancelled = [], 0

    async def __call__(self, request):
        request.version, request.context.served_by = "as it is called there", request.context.backend or "any"
        self.requests.append(request)
        try:
            await asyncio.sleep(self.seconds)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.error is not None:
            raise self.error
        response = echo(request)
        (y,) = response.outputs
        array = y.to_numpy() + np.float32(self.off)
        response.outputs = (type(y).from_numpy("y", array),)
        return response


class Scene:
    """Version 1 of ``m`` on the backends ``a`` and ``b``; the target's version is answered by ``played``."""

    def __init__(self, target=None, *, versions=("1",), labels=None, memory=10**6, **limits):
        self.played = Played()
        self.recorders = {}
        self.catalog = Catalog(labels={"m": labels or {}})
        for version in versions:
            self.serve(version)
        self.shared = Mirroring(self.catalog, Copies(memory), MirrorFindings(Mismatches(memory)), self._recorder)
        self.mirror = self.to(target or Target("b"), **limits)

    def serve(self, version):
        ends = tuple(Endpoint(name, "m", version, healthy=True, problem="") for name in "ab")
        signature = Signature((), ())
        self.catalog.add(ServedModel("m", version, "", signature, 0, (), ends, attempt=self.played))

    def to(self, target, *, allowed=Tolerance(abs=0.5, rel=0).allowed, **limits):
        """Another mirror of version 1."""
        self.target = target
        given = MirrorLimits(**{"timeout": 5, "concurrent": 2, "busy": 3, "samples": 2, **limits})
        return Mirror(self.catalog.find("m", "1"), target, given, allowed, self.shared)

    def endpoints(self, version="1"):
        return {end.backend: end for end in self.catalog.find("m", version).endpoints}

    @property
    def recorder(self):
        return self.recorders["m", self.target.name]

    @property
    def samples(self):
        return list(self.shared.findings.mismatches)

    @property
    def tally(self):
        return self.shared.findings.tallies["m/1"][self.target.name]

    def _recorder(self, model, target):
        return self.recorders.setdefault((model, target), Recorder())
