"""One backend of several servers: every address of its name is a replica, and each request goes to one of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

import structlog

from gateway.backends.hosts import LookUp, look_up
from gateway.backends.oip_description import oldest_first
from gateway.backends.replicas import Key, Replica, Replicas
from gateway.core.backend import Backend, ModelDescription
from gateway.core.errors import (
    ConnectFailed,
    ConnectionLost,
    DeadlineExceeded,
    ModelNotFound,
    NotFound,
    Unavailable,
)
from gateway.core.idempotence import is_idempotent
from gateway.core.messages import InferRequest, InferResponse
from gateway.core.replicas import ReplicaState, ReplicaStatus
from gateway.core.retry_budget import RetryBudget
from gateway.core.tracing import child_span

_log = structlog.get_logger()

T = TypeVar("T")

# Of the requests that lose their connection, so many go to another replica: a share of all, and some a second anyhow.
_RETRY_SHARE = 0.2
_RETRIES_PER_SECOND = 10.0


class ReplicatedBackend(Backend):
    """Every server behind the name ``host``; see ``gateway.core.replicas.ReplicaControl`` for what operators do.

    ``connect`` makes the backend for the server at one address. Times are in seconds: the name is looked up every
    ``resolve_interval``; ``check_timeout`` bounds the check of one replica, and is less than the check of a whole
    backend may take, so that one that hangs does not speak for the others.
    """

    def __init__(
        self,
        name: str,
        kind: str,
        host: str,
        connect: Callable[[str], Backend],
        *,
        resolve_interval: float,
        check_timeout: float,
        look_up: LookUp = look_up,
    ) -> None:
        self.name = name
        self.kind = kind
        self._host = host
        self._replicas = Replicas(name, connect)
        self._resolve_interval = resolve_interval
        self._check_timeout = check_timeout
        self._look_up = look_up
        self._resolved = True
        # What it was ever checked for: a new replica is held against it before it gets a request.
        self._keys: set[Key] = set()
        self._leaving: dict[Replica, asyncio.Task[None]] = {}
        self._budget = RetryBudget(_RETRY_SHARE, _RETRIES_PER_SECOND)

    async def __call__(self, request: InferRequest, /) -> InferResponse:
        tried: list[Replica] = []
        lost: ConnectionLost | None = None
        self._budget.deposit(time.monotonic())
        while True:
            replica = self._replicas.choose((request.model, request.version), tried)
            if replica is None:
                raise lost or ConnectFailed(self._nobody())
            replica.in_flight.enter()
            try:
                with child_span(request.context, "replica", "client", {"server.address": replica.address}):
                    return await replica.backend(request)
            except ConnectFailed:
                # It saw nothing of the request, so another one may have it; health checks try this one again.
                tried.append(replica)
                self._replicas.rest(replica)
            except ConnectionLost as error:
                # Mostly it is being stopped: whoever comes next should not meet the same. It may have run the request,
                # so another one has it only where that does no harm; and not for ever, if the request itself kills.
                self._replicas.rest(replica)
                if lost is not None or not is_idempotent(request) or not self._budget.withdraw(time.monotonic()):
                    raise
                tried.append(replica)
                lost = error
            finally:
                replica.in_flight.leave()

    async def check(self, model: str, version: str) -> None:
        """Ask every replica; one that is ready is enough."""
        key = (model, version)
        self._keys.add(key)
        checks = [self._check(replica, key) for replica in self._replicas]
        results = await asyncio.gather(*checks, return_exceptions=True)
        self._adopt_capabilities()
        if not self._replicas.serve(key):
            raise next((failure for failure in results if failure is not None), Unavailable(self._nobody()))

    async def close(self) -> None:
        for task in self._leaving.values():
            task.cancel()
        await asyncio.gather(*(replica.backend.close() for replica in [*self._leaving, *self._replicas.at(())]))

    async def list_models(self) -> list[str]:
        told = await self._ask(lambda backend: backend.list_models())
        return [*dict.fromkeys(name for names in told for name in names)]

    async def describe(self, model: str) -> ModelDescription:
        """With every version that any replica has: while they are replaced one by one, they differ."""
        return _merged(await self._ask(lambda backend: backend.describe(model)))

    async def load(self, model: str, version: str) -> None:
        await self._each(self._replicas, lambda backend: backend.load(model, version))

    async def unload(self, model: str, version: str) -> None:
        self._keys.discard((model, version))
        for replica in self._replicas:
            replica.ready.pop((model, version), None)
        await self._each(self._replicas, lambda backend: backend.unload(model, version))

    # ---- for operators

    def statuses(self) -> Mapping[str, ReplicaStatus]:
        return {replica.address: ReplicaStatus(replica.state, replica.in_flight.count) for replica in self._replicas}

    async def refresh(self) -> None:
        try:
            addresses = await self._look_up(self._host)
        except OSError as error:
            # The servers do not go away with their name: those that are known are used until it answers again.
            if self._resolved:
                _log.warning("name cannot be resolved", backend=self.name, host=self._host, reason=error.strerror)
            self._resolved = False
        else:
            self._resolved = True
            for replica in self._replicas.at(addresses):
                self._leave(replica)
        checks = [
            self._check(replica, key)
            for replica in self._replicas
            for key in self._keys
            if replica.state is not ReplicaState.UP or key not in replica.ready
        ]
        await asyncio.gather(*checks, return_exceptions=True)
        self._adopt_capabilities()

    async def keep_refreshing(self) -> None:
        """Refresh for ever; the first time is the caller's."""
        while True:
            await asyncio.sleep(self._resolve_interval)
            await self.refresh()

    async def drain(self, address: str, timeout: float) -> None:
        replica = self._replicas.get(address)
        if replica is None:
            raise NotFound(f"backend {self.name!r} has no replica {address!r}; known: {', '.join(self.statuses())}")
        self._replicas.drain(replica)
        try:
            async with asyncio.timeout(timeout):
                await replica.in_flight.idle()
        except TimeoutError:
            count = replica.in_flight.count
            raise DeadlineExceeded(f"replica {address}: {count} requests in flight after {timeout:g} s") from None

    # ----

    async def _check(self, replica: Replica, key: Key) -> None:
        try:
            async with asyncio.timeout(self._check_timeout):
                await replica.backend.check(*key)
        except ConnectFailed:
            self._replicas.refused(replica)
            self._replicas.checked(replica, key, ready=False)
            raise
        except Exception:
            self._replicas.checked(replica, key, ready=False)
            raise
        self._replicas.checked(replica, key, ready=True)

    def _adopt_capabilities(self) -> None:
        """Hold requests against what the servers can carry: they are meant to be the same."""
        for replica in self._up():
            self.capabilities = replica.backend.capabilities
            return

    def _leave(self, replica: Replica) -> None:
        """Close the connections to ``replica`` once it has answered what it was sent."""

        async def leave() -> None:
            await replica.in_flight.idle()
            await replica.backend.close()
            del self._leaving[replica]

        self._leaving[replica] = asyncio.create_task(leave(), name=f"leave {replica.address}")

    def _up(self) -> list[Replica]:
        """The replicas that are up, else all."""
        return [replica for replica in self._replicas if replica.state is ReplicaState.UP] or [*self._replicas]

    async def _ask(self, question: Callable[[Backend], Awaitable[T]]) -> list[T]:
        async def ask(backend: Backend) -> T:
            try:
                async with asyncio.timeout(self._check_timeout):
                    return await question(backend)
            except TimeoutError:
                raise Unavailable(f"backend {self.name!r} did not answer in time") from None

        return await self._each(self._up(), ask)

    async def _each(self, replicas: Iterable[Replica], call: Callable[[Backend], Awaitable[T]]) -> list[T]:
        """The answers of ``replicas``; one that fails is left to its health check while another one answers.

        Raises:
            GatewayError: all failed. That they have no such model only when all of them say so.
        """
        calls = [call(replica.backend) for replica in replicas]
        results = await asyncio.gather(*calls, return_exceptions=True)
        answers = [result for result in results if not isinstance(result, BaseException)]
        failures = [result for result in results if isinstance(result, BaseException)]
        if not answers:
            failures.sort(key=lambda failure: isinstance(failure, ModelNotFound))
            raise failures[0] if failures else ConnectFailed(self._nobody())
        for failure in failures:
            _log.warning("a replica failed where others did not", backend=self.name, problem=repr(failure))
        return answers

    def _nobody(self) -> str:
        reason = "no replica takes requests" if self._resolved else "its name cannot be resolved"
        return f"backend {self.name!r}: {reason}"


def _merged(told: Sequence[ModelDescription]) -> ModelDescription:
    """One description with all versions in ``told``; of replicas that have the same one, the first decides."""
    versions: dict[str, ModelDescription] = {}
    for description in told:
        for each in (*description.older, replace(description, older=())):
            versions.setdefault(each.version, each)
    *older, latest = (versions[version] for version in oldest_first(versions))
    return replace(latest, older=tuple(older))
