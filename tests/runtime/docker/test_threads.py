"""Work in threads whose results are awaited, and whose end is awaited even when nobody wants them any more."""

import asyncio
import threading

import pytest

from gateway.runtime.docker.threads import in_thread
from gateway.runtime.errors import RuntimeFailure


def test_result_and_failure_come_back():
    def fail():
        raise RuntimeFailure("no")

    assert asyncio.run(in_thread(lambda: 3)) == 3
    with pytest.raises(RuntimeFailure, match="no"):
        asyncio.run(in_thread(fail))


def test_cancellation_waits_until_the_work_is_done():
    begun, cancelled, done = threading.Event(), threading.Event(), []

    def work():
        begun.set()
        assert cancelled.wait(10)
        done.append("all of it")

    async def main():
        task = asyncio.create_task(in_thread(work, cancelled.set))
        await asyncio.to_thread(begun.wait, 10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert done == ["all of it"]

    asyncio.run(main())
