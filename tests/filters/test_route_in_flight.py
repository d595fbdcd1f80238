import asyncio

import pytest
from support.services import Recording, request

from gateway.core.catalog import Catalog, ServedModel
from gateway.core.errors import BackendError
from gateway.core.signatures import Signature
from gateway.filters.route import Route


@pytest.mark.parametrize("answer", [None, BackendError("no"), asyncio.CancelledError()])
def test_a_request_is_in_flight_until_it_is_over_however_it_ends(answer):
    async def scenario():
        entered, released = asyncio.Event(), asyncio.Event()
        inner = Recording() if answer is None else Recording(answer)

        async def service(message):
            entered.set()
            await released.wait()
            return await inner(message)

        model = ServedModel("m", "1", "", Signature((), ()), 0, (), (), service=service)
        asking = asyncio.create_task(Route(Catalog([model]), {}, None)(request()))
        await entered.wait()
        idle = asyncio.create_task(model.in_flight.idle())
        await asyncio.sleep(0)
        assert not idle.done()
        released.set()
        await asyncio.wait([asking])
        await idle

    asyncio.run(asyncio.wait_for(scenario(), 5))
