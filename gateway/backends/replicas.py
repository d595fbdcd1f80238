"""The servers behind one backend's name: what is known of each, and which one gets the next request."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count

import structlog

from gateway.core.backend import Backend
from gateway.core.in_flight import InFlight
from gateway.core.replicas import ReplicaState

_log = structlog.get_logger()

# A model and its version, as the servers call it.
Key = tuple[str, str]


@dataclass(slots=True, eq=False)
class Replica:
    """One server.

    Attributes:
        address: its IP address.
        backend: speaks to it.
        in_flight: requests that it is answering.
        ready: for each model that it was checked for, whether it was ready the last time.
        resting: it refused or lost a connection since a check passed, so others are preferred.
        draining: it gets nothing new.
    """

    address: str
    backend: Backend
    in_flight: InFlight = field(default_factory=InFlight)
    ready: dict[Key, bool] = field(default_factory=dict)
    resting: bool = False
    draining: bool = False

    @property
    def state(self) -> ReplicaState:
        """Up when it is ready for any model at all: the others are known by their own readiness."""
        if self.draining:
            return ReplicaState.DRAINING
        return ReplicaState.UP if any(self.ready.values()) and not self.resting else ReplicaState.DOWN


class Replicas:
    """The replicas of the backend ``name``; ``connect`` makes what speaks to the one at an address."""

    def __init__(self, name: str, connect: Callable[[str], Backend]) -> None:
        self._name = name
        self._connect = connect
        self._by_address: dict[str, Replica] = {}
        self._turn = count()
        # Who may be chosen for each model; made when it is asked for, thrown away with every change.
        self._rota: dict[Key, Sequence[Replica]] = {}

    def __iter__(self) -> Iterator[Replica]:
        return iter([*self._by_address.values()])

    def get(self, address: str) -> Replica | None:
        """The one at ``address``."""
        return self._by_address.get(address)

    def choose(self, key: Key, tried: Sequence[Replica] = ()) -> Replica | None:
        """The one for the next request: the one with the fewest in flight, and equals take turns.

        None when nobody is left who could take it and is not in ``tried``.
        """
        candidates = self._rota.get(key)
        if candidates is None:
            candidates = self._rota[key] = self._candidates(key)
        if tried:
            candidates = [replica for replica in candidates if replica not in tried]
        if len(candidates) < 2:
            return candidates[0] if candidates else None
        start = next(self._turn) % len(candidates)
        rotated = (*candidates[start:], *candidates[:start])
        return min(rotated, key=_busyness)

    def at(self, addresses: Sequence[str]) -> list[Replica]:
        """Let there be a replica at each of ``addresses`` and nowhere else; returns those that are gone."""
        before = self._by_address
        self._by_address = {
            address: before.get(address) or Replica(address, self._connect(address)) for address in addresses
        }
        self._rota.clear()
        for address in self._by_address.keys() - before.keys():
            _log.info("replica found", backend=self._name, replica=address)
        gone = [replica for address, replica in before.items() if address not in self._by_address]
        for replica in gone:
            _log.info("replica gone", backend=self._name, replica=replica.address)
        return gone

    def serve(self, key: Key) -> bool:
        """Whether any of them may be sent requests, and is ready for them."""
        return any(replica.ready.get(key) and not replica.draining for replica in self)

    def checked(self, replica: Replica, key: Key, *, ready: bool) -> None:
        """Note the result of a check; one that passed ends a rest."""
        if replica.ready.get(key) is ready and not (ready and replica.resting):
            return
        before = replica.state
        replica.ready[key] = ready
        replica.resting = replica.resting and not ready
        self._changed(replica, before)

    def refused(self, replica: Replica) -> None:
        """Note that nobody listens there: a server that comes back is another one, and knows nothing of a drain."""
        before = replica.state
        replica.ready = dict.fromkeys(replica.ready, False)
        replica.draining = False
        self._changed(replica, before)

    def rest(self, replica: Replica) -> None:
        """Prefer others until a check has passed."""
        before = replica.state
        replica.resting = True
        self._changed(replica, before)

    def drain(self, replica: Replica) -> None:
        """Choose it no more."""
        before = replica.state
        replica.draining = True
        self._changed(replica, before)

    def _candidates(self, key: Key) -> Sequence[Replica]:
        """Those that are ready; without one those that were, or that at least have been asked.

        A replica is in DNS before its models are loaded: one that was never checked for the model is no candidate.
        """
        known = [replica for replica in self if key in replica.ready and not replica.draining]
        ready = [replica for replica in known if replica.ready[key]]
        return [replica for replica in ready if not replica.resting] or ready or known

    def _changed(self, replica: Replica, before: ReplicaState) -> None:
        self._rota.clear()
        if replica.state is not before:
            _log.info(f"replica is {replica.state}", backend=self._name, replica=replica.address)


def _busyness(replica: Replica) -> int:
    return replica.in_flight.count
