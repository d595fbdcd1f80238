"""Which requests have a shadow, and that their clients notice nothing."""

import asyncio
import random

import pytest
from support.mirrors import Scene
from support.services import Recording, request
from support.virtual_time import run_virtual

from gateway.core.errors import BackendError
from gateway.filters.shadow import Shadow


class Primary(Recording):
    """Answers as ``a``, as any backend would: it changes the request."""

    async def __call__(self, request):
        response = await super().__call__(request)
        request.context.served_by, request.version, request.outputs = "a", "as a calls it", ("as a calls them",)
        return response


def shadowed(scene, share=1.0, primary=None, **options):
    return Shadow(primary or Primary(), scene.mirror, share, **options)


def ask(service, *messages):
    async def scenario():
        answers = [await service(message) for message in messages]
        told = asyncio.get_running_loop().time()
        await asyncio.sleep(60)
        return answers, told

    return run_virtual(scenario())


def test_the_answer_does_not_wait_for_the_copy():
    scene = Scene()
    scene.played.seconds = 4
    message = request(id="mine")
    (answer,), told = ask(shadowed(scene), message)
    assert (answer.id, told) == ("mine", 0)
    assert (message.version, message.context.served_by) == ("as a calls it", "a")
    assert message.context.backend_seconds == 0
    (sent,) = scene.played.requests
    assert (sent.context.protocol, sent.outputs) == ("shadow", ())
    assert scene.recorder.outcomes == ["ok"]


@pytest.mark.parametrize(("drawn", "copies"), [(0.0, 1), (0.0999, 1), (0.1, 0), (0.9, 0)])
def test_a_share_of_the_requests_is_copied(drawn, copies):
    scene = Scene()
    ask(shadowed(scene, 0.1, random=lambda: drawn), request())
    assert len(scene.played.requests) == copies


def test_so_many_are_within_binomial_bounds():
    scene = Scene(concurrent=10_000)
    ask(shadowed(scene, 0.1, random=random.Random(7).random), *[request() for _ in range(1000)])
    assert 62 <= len(scene.played.requests) <= 138  # 4 standard deviations


def test_what_changes_a_state_is_not_sent_twice():
    scene = Scene()
    ask(shadowed(scene), request(parameters={"sequence_id": 7}))
    assert scene.played.requests == []


def test_what_failed_has_no_copy():
    scene = Scene()
    with pytest.raises(BackendError):
        ask(shadowed(scene, primary=Primary(BackendError("no"))), request())
    assert scene.played.requests == []
    assert scene.recorder.dropped == []


def test_who_leaves_before_the_answer_takes_the_copy_along():
    scene = Scene()

    async def scenario():
        hanging = asyncio.Event()

        async def primary(_):
            await hanging.wait()

        task = asyncio.create_task(shadowed(scene, primary=primary)(request()))
        await asyncio.sleep(1)
        task.cancel()
        await asyncio.wait([task])
        await asyncio.sleep(60)

    run_virtual(scenario())
    assert scene.played.requests == []


def test_an_answer_that_is_changed_later_is_compared_as_it_was():
    scene = Scene()

    async def scenario():
        answer = await shadowed(scene)(request())
        answer.outputs = ()
        await asyncio.sleep(60)

    run_virtual(scenario())
    assert scene.recorder.outcomes == ["ok"]
