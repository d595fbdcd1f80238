"""The servers behind one backend's name, as operators see them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class ReplicaState(StrEnum):
    """Whether a replica is sent requests."""

    UP = "up"
    DOWN = "down"
    DRAINING = "draining"


@dataclass(slots=True, frozen=True)
class ReplicaStatus:
    """One replica at this moment; ``in_flight`` counts the requests that it is answering."""

    state: ReplicaState
    in_flight: int


class ReplicaControl(Protocol):
    """Shows the replicas of one backend, and takes single ones out of service."""

    def statuses(self) -> Mapping[str, ReplicaStatus]:
        """Every replica by its address."""

    async def refresh(self) -> None:
        """Look the name up now, and check the replicas that are not up."""

    async def drain(self, address: str, timeout: float) -> None:
        """Send the replica at ``address`` nothing new; returns when it has answered everything.

        It stays drained until its server is gone: out of DNS, or refusing connections.

        Raises:
            NotFound: there is no replica at that address.
            DeadlineExceeded: requests are still in flight on it after ``timeout`` seconds.
        """
