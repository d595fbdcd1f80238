"""Put a request that was answered to somebody else too, apart from its client, and hold the two answers together."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import structlog

from gateway.core.catalog import Catalog, ServedModel
from gateway.core.copies import Copies
from gateway.core.current import CURRENT
from gateway.core.differences import Allowed, Difference, differences
from gateway.core.errors import DeadlineExceeded, GatewayError
from gateway.core.messages import InferRequest, InferResponse, RequestContext
from gateway.core.mirror_tally import MirrorFindings
from gateway.core.mismatches import Mismatch
from gateway.core.tensors import Tensor, total_bytes

_log = structlog.get_logger()

# To wake a thread takes about as long as to compare so many bytes.
_COMPARED_ON_THE_LOOP = 64 * 2**10


class MirrorRecorder(Protocol):
    """Where the measurements of one target go."""

    def copy_ended(self, outcome: str) -> None:
        """One copy was sent: ``ok``, ``differs``, or the reason of its error."""

    def copy_dropped(self, reason: str) -> None:
        """One was not."""

    def both_took(self, first: float, second: float) -> None:
        """Seconds that the request and its copy took, when both were answered."""

    def both_answered(self, found: Sequence[Difference]) -> None:
        """Their answers were held against each other."""


@dataclass(slots=True, frozen=True)
class Mirroring:
    """What the mirrors of all models share.

    Attributes:
        catalog: where targets are looked up, since versions come and go.
        copies: the tasks.
        findings: the sums, and what is kept to debug with.
        recorder: makes the recorder of a model's target, by the names of both.
    """

    catalog: Catalog
    copies: Copies
    findings: MirrorFindings
    recorder: Callable[[str, str], MirrorRecorder]


@dataclass(slots=True, frozen=True)
class Target:
    """Whom to ask besides: ``backend`` or any, for ``version``, the one that has ``label``, or the model's own."""

    backend: str = ""
    version: str = ""
    label: str = ""

    @property
    def name(self) -> str:
        """As metrics have it."""
        version = f"version {self.version}" if self.version else f"label {self.label}" if self.label else ""
        return " on ".join(part for part in (version, self.backend) if part)


@dataclass(slots=True, frozen=True)
class MirrorLimits:
    """How far a mirror may go.

    Attributes:
        timeout: seconds a copy may take.
        concurrent: copies under way at once.
        busy: no copy goes to a backend with so many requests in flight.
        samples: mismatches that are kept.
    """

    timeout: float
    concurrent: int
    busy: int
    samples: int


@dataclass(slots=True, frozen=True)
class Original:
    """A request as it was before any backend was chosen, and what became of it.

    Attributes:
        request: to send again, with a context of its own.
        outputs: of the answer.
        served_by: the backend that gave it.
        seconds: how long that took.
    """

    request: InferRequest
    outputs: tuple[Tensor, ...]
    served_by: str
    seconds: float


@dataclass(slots=True, frozen=True)
class Finding:
    """What a copy was good for: how long it took and how it differs, or the reason of its error."""

    seconds: float
    found: Sequence[Difference] = ()
    reason: str = ""

    @property
    def outcome(self) -> str:
        return self.reason or ("ok" if all(each.within for each in self.found) else "differs")


def copy_of(request: InferRequest) -> InferRequest:
    """``request`` for an ``Original``; balancing writes into the one that is on its way."""
    client = request.context
    context = RequestContext("shadow", traceparent=client.traceparent, tracestate=client.tracestate)
    context.request_id = request.id  # so that what is logged of the copy can be found
    return replace(request, context=context)


class Mirror:
    """Asks one target for what ``model`` has answered.

    A copy is one attempt: never retried, hedged, cached or mirrored again. It takes what the target can spare: none is
    sent while the target is down or busy, or too many are under way.
    """

    __slots__ = ("_allowed", "_limits", "_model", "_recorder", "_shared", "_tally", "_target", "_under_way")

    def __init__(
        self, model: ServedModel, target: Target, limits: MirrorLimits, allowed: Allowed, shared: Mirroring
    ) -> None:
        self._model = model
        self._target = target
        self._limits = limits
        self._allowed = allowed
        self._shared = shared
        self._recorder = shared.recorder(model.name, target.name)
        self._tally = shared.findings.tally(model.name, model.version, target.name)
        self._under_way = 0

    def begin(self, original: Original) -> asyncio.Task[Finding] | str:
        """Send a copy of ``original``, or say why none is sent: ``itself``, ``down``, ``busy`` or ``full``."""
        target = self._find()
        reason = self._reason_against(target, original.served_by)
        nbytes = total_bytes(original.request.inputs) + total_bytes(original.outputs)
        if not reason and (self._under_way >= self._limits.concurrent or not self._shared.copies.has_room(nbytes)):
            reason = "full"
        if reason or target is None:
            self._recorder.copy_dropped(reason)
            self._tally.dropped[reason] += 1
            return reason
        self._under_way += 1
        task = self._shared.copies.begin(self._run(original, target), nbytes)
        task.add_done_callback(self._ended)  # also of one that is cancelled before it has begun
        return task

    def _ended(self, _: asyncio.Task[Finding]) -> None:
        self._under_way -= 1

    def _find(self) -> ServedModel | None:
        name, target, catalog = self._model.name, self._target, self._shared.catalog
        if target.label:
            return catalog.find(name, catalog.labels(name).get(target.label, ""))
        return catalog.find(name, target.version or self._model.version)

    def _reason_against(self, target: ServedModel | None, served_by: str) -> str:
        backend = self._target.backend
        if target is None:
            return "down"
        if target.version == self._model.version and backend in ("", served_by):
            return "itself"
        able = [end for end in target.endpoints if end.backend == (backend or end.backend)]
        able = [end for end in able if end.healthy and not end.refusal]
        if not able:
            return "down"
        return "busy" if all(end.load.in_flight >= self._limits.busy for end in able) else ""

    async def _run(self, original: Original, target: ServedModel) -> Finding:
        try:
            finding = await self._ask(original, target)
        except GatewayError as error:
            finding = Finding(0.0, reason=error.reason)
        except Exception:
            _log.exception("a copy of a request failed unexpectedly", model=self._model.name, target=self._target.name)
            finding = Finding(0.0, reason="internal")
        else:
            self._recorder.both_took(original.seconds, finding.seconds)
            self._recorder.both_answered(finding.found)
            self._tally.add(finding.found)
        self._recorder.copy_ended(finding.outcome)
        self._tally.outcomes[finding.outcome] += 1
        return finding

    async def _ask(self, original: Original, target: ServedModel) -> Finding:
        request, context = original.request, original.request.context
        CURRENT.set(context)
        request = replace(request, version="", label="", context=replace(context, backend=self._target.backend))
        started = time.perf_counter()
        request.context.deadline = asyncio.get_running_loop().time() + self._limits.timeout  # backends are told of it
        target.in_flight.enter()  # nobody unloads it meanwhile
        try:
            async with asyncio.timeout(self._limits.timeout):
                response = await target.attempt(request)
        except TimeoutError:
            raise DeadlineExceeded(f"no answer within {self._limits.timeout:g} s") from None
        finally:
            target.in_flight.leave()
        seconds = time.perf_counter() - started
        return Finding(seconds, await self._hold_together(original, response, request.context.served_by))

    async def _hold_together(self, original: Original, response: InferResponse, asked: str) -> Sequence[Difference]:
        if total_bytes(original.outputs) <= _COMPARED_ON_THE_LOOP:
            found, mismatch = self._judge(original, response, asked)
        else:
            found, mismatch = await asyncio.to_thread(self._judge, original, response, asked)
        if mismatch is not None:
            self._shared.findings.mismatches.keep(mismatch, self._limits.samples)
        return found

    def _judge(
        self, original: Original, response: InferResponse, asked: str
    ) -> tuple[Sequence[Difference], Mismatch | None]:
        request, signature = original.request, self._model.signature_called(original.request.signature)
        wanted = request.outputs or signature.output_names
        found = differences(original.outputs, response.outputs, wanted, self._allowed, batched=signature.batched)
        if not self._limits.samples or all(each.within for each in found):
            return found, None
        mismatch = Mismatch(
            model=self._model.name,
            version=self._model.version,
            target=self._target.name,
            at=time.time(),
            backends=(original.served_by, asked),
            request_id=request.id,
            trace_id=request.context.trace_id,
            inputs=request.inputs,
            first=original.outputs,
            second=response.outputs,
            differences=found,
        )
        return found, mismatch.detached()
