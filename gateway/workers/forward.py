"""What the parent's admin port leaves to the workers: questions to one of them or to all, orders to all."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import orjson

from gateway.core.errors import GatewayError, InvalidRequest, NotFound, Unavailable
from gateway.core.limits import Limits
from gateway.frontends import http
from gateway.frontends.authorization import Authorization, Caller
from gateway.frontends.http_door import JSON, STATUS, lookup
from gateway.frontends.operations import Access
from gateway.http1.reply import Reply
from gateway.http1.request import Request as Incoming
from gateway.workers import gathered
from gateway.workers.asking import Answer, Request, WorkerClient, forwarded
from gateway.workers.crew import Crew
from gateway.workers.gathered import Merge

# What anybody may read who reaches a single gateway's admin port.
_OPEN = ("/backends", "/shadow")
# Whose answer it is.
_WORKER = b"x-gateway-worker"
_SAMPLE = re.compile(r"/shadow/samples/([0-9]{1,18})")
# What changes nothing whichever worker does it, although it is no GET: inference, an index with a body.
_FOR_ONE = [
    (operation.method, operation.pattern(door.segment))
    for door in http.DOORS.values()
    for operation in door.operations
    if operation.access is Access.PUBLIC and operation.method != "GET"
]


class Forward:
    """The application of the parent's admin port. Orders go to all workers, and the worst answer is given.

    The header ``x-gateway-worker`` of an answer tells whose it is.

    Workers take the parent for an administrator, so that who asks is judged here.
    """

    def __init__(self, crew: Crew, workers: WorkerClient, authorization: Authorization, limits: Limits) -> None:
        self._crew = crew
        self._workers = workers
        self._authorization = authorization
        self._limits = limits

    async def __call__(self, incoming: Incoming) -> Reply:
        try:
            answer = await self._answer(incoming)
        except GatewayError as error:
            answer = Answer(lookup(STATUS, error), JSON, orjson.dumps({"error": error.message}))
        return Reply(answer.body, answer.headers, answer.status)

    async def _answer(self, incoming: Incoming) -> Answer:
        path = incoming.path
        if not path.startswith("/"):
            raise InvalidRequest("a path that begins with / is expected")
        query = f"?{incoming.query.decode('latin-1')}" if incoming.query else ""
        request = Request(incoming.method, path + query, forwarded(incoming.headers), b"")
        if not (request.is_question and path in _OPEN):
            told = incoming.headers.get(b"authorization", b"").decode("latin-1")
            self._authorization.require_admin(Caller(incoming.client.host, told))
        request = replace(request, body=await incoming.body(self._limits))
        if _is_for_one(request.method, path):
            return await self._ask_one(request)
        if not request.is_question:
            return await self._tell_all(request, path)
        if path == "/shadow/samples":
            return await self._gather(request, lambda told: gathered.samples(told, len(self._crew.slots)))
        if sample := _SAMPLE.fullmatch(path):
            return await self._sample(request, int(sample[1]))
        merge = gathered.merge_of(path)
        return await (self._gather(request, merge) if merge else self._ask_one(request))

    async def _ask_one(self, request: Request) -> Answer:
        slots = self._crew.ready
        for slot in slots if request.is_question else slots[:1]:
            if answer := await self._workers.ask(slot, request):
                return _by(answer, slot.index)
        raise _nobody()

    async def _gather(self, request: Request, merge: Merge) -> Answer:
        """One answer of all workers that have any; that of one where none can do it."""
        # Uncompressed, and with a body.
        headers = tuple((name, value) for name, value in request.headers if name.lower() != "accept-encoding")
        answers = await self._ask_all(replace(request, method="GET", headers=headers))
        told = {worker: answer for worker, answer in answers.items() if answer is not None}
        if not told:
            raise _nobody()
        return _merged(told, merge) or _by(*_worst(told))

    async def _tell_all(self, request: Request, path: str) -> Answer:
        answers = await self._ask_all(request)
        if not answers:
            raise _nobody()
        silent = [str(worker) for worker, answer in answers.items() if answer is None]
        if silent:
            raise Unavailable(f"no answer of worker {', '.join(silent)}; what the others were told they have done")
        told = {worker: answer for worker, answer in answers.items() if answer is not None}
        answer, worker = _worst(told)
        merge = gathered.merge_of(path)
        return (_merged(told, merge) if merge and answer.status == 200 else None) or _by(answer, worker)

    async def _sample(self, request: Request, number: int) -> Answer:
        worker, own = gathered.sample_of(number, len(self._crew.slots))
        slots = {slot.index: slot for slot in self._crew.ready}
        answer = None
        if worker in slots:
            answer = await self._workers.ask(slots[worker], replace(request, path=f"/shadow/samples/{own}"))
        if answer is None or answer.status == 404:
            raise NotFound(f"sample {number} is not kept; GET /shadow/samples lists those that are")
        named = (b"content-disposition", f'attachment; filename="shadow-{number}.npz"'.encode())
        headers = [named if name == b"content-disposition" else (name, value) for name, value in answer.headers]
        return _by(replace(answer, headers=headers), worker)

    async def _ask_all(self, request: Request) -> dict[int, Answer | None]:
        slots = self._crew.ready
        answers = await asyncio.gather(*(self._workers.ask(slot, request) for slot in slots))
        return {slot.index: answer for slot, answer in zip(slots, answers, strict=True)}


def _is_for_one(method: str, path: str) -> bool:
    path = path.rstrip("/")
    return any(method == verb and pattern.fullmatch(path) for verb, pattern in _FOR_ONE)


def _merged(answers: Mapping[int, Answer], merge: Merge) -> Answer | None:
    """None when no worker could do it."""
    told: dict[int, Any] = {worker: orjson.loads(each.body) for worker, each in answers.items() if each.status == 200}
    return _by(Answer(200, JSON, orjson.dumps(merge(told))), *told) if told else None


def _worst(answers: Mapping[int, Answer]) -> tuple[Answer, int]:
    worker = max(answers, key=lambda worker: answers[worker].status)
    return answers[worker], worker


def _by(answer: Answer, *workers: int) -> Answer:
    numbers = ",".join(map(str, workers)).encode()
    return replace(answer, headers=[*answer.headers, (_WORKER, numbers)])


def _nobody() -> Unavailable:
    return Unavailable("no worker is ready")
