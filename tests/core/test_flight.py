"""One call, several who wait, and who may end it."""

import asyncio
import gc

import pytest
from support.virtual_time import run_virtual

from gateway.core.errors import BackendError
from gateway.core.flight import Flight


class Call:
    """Something that takes ten seconds, and then gives its answer or raises it."""

    def __init__(self, answer="answer"):
        self.answer, self.state = answer, "not begun"

    async def run(self):
        self.state = "under way"
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            self.state = "cancelled"
            raise
        self.state = "done"
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


def test_all_who_wait_get_the_answer():
    async def scenario():
        call, over = Call(), []
        flight = Flight(call.run(), lambda: over.append(True))
        assert flight.joinable
        assert await asyncio.gather(flight.wait(), flight.wait()) == ["answer", "answer"]
        assert (flight.landed, flight.joinable, over) == (True, False, [True])

    run_virtual(scenario())


def test_the_call_goes_on_when_whoever_began_it_leaves():
    async def scenario():
        call = Call()
        flight = Flight(call.run(), lambda: None)
        first, second = asyncio.create_task(flight.wait()), asyncio.create_task(flight.wait())
        await asyncio.sleep(1)
        first.cancel()
        await asyncio.wait([first])
        assert first.cancelled()
        assert (call.state, flight.joinable) == ("under way", True)
        assert await second == "answer"

    run_virtual(scenario())


def test_the_last_one_to_leave_ends_the_call():
    async def scenario():
        call, over = Call(), []
        flight = Flight(call.run(), lambda: over.append(True))
        waiting = [asyncio.create_task(flight.wait()) for _ in range(2)]
        await asyncio.sleep(1)
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting)
        assert not flight.joinable
        while not over:
            await asyncio.sleep(0)
        assert call.state == "cancelled"

    run_virtual(scenario())


def test_a_failure_is_everybodys_and_each_has_an_error_of_its_own():
    async def scenario():
        failure = BackendError("no")
        flight = Flight(Call(failure).run(), lambda: None)
        found = await asyncio.gather(flight.wait(), flight.wait(), return_exceptions=True)
        assert [(type(error), error.message) for error in found] == [(BackendError, "no")] * 2
        assert len({id(error) for error in (*found, failure)}) == 3

    run_virtual(scenario())


def test_what_is_no_error_of_the_gateways_is_raised_as_it_is():
    async def scenario():
        flight = Flight(Call(ZeroDivisionError("bug")).run(), lambda: None)
        with pytest.raises(ZeroDivisionError, match="bug"):
            await flight.wait()

    run_virtual(scenario())


def test_a_failure_that_nobody_is_left_to_hear_of_is_not_reported_as_lost():
    async def scenario():
        reports = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: reports.append(context))

        async def stubborn():
            try:
                await asyncio.sleep(10)
            except asyncio.CancelledError:
                raise BackendError("no") from None

        over = asyncio.Event()
        flight = Flight(stubborn(), over.set)
        waiting = asyncio.create_task(flight.wait())
        await asyncio.sleep(1)
        waiting.cancel()
        await over.wait()
        del flight, waiting
        gc.collect()
        await asyncio.sleep(1)
        assert reports == []

    run_virtual(scenario())
