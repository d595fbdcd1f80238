"""One backend of several servers, over real connections to addresses of their own."""

import asyncio
import contextlib
import socket

import pytest
from support.looped import looped
from support.replica_servers import ADDRESSES, NAME, OverHTTP, replicated
from support.services import request
from support.spans import NotedSpan

from gateway.core.errors import ConnectFailed, ConnectionLost, DeadlineExceeded, NotFound, Unavailable
from gateway.core.messages import RequestContext
from gateway.core.replicas import ReplicaState

UP, DOWN, DRAINING = ReplicaState
BOTH = pytest.mark.parametrize("protocol", ["http", "grpc"])


def ask(backend, version="1"):
    return backend(request("m", version=version))


def asking(backend, count):
    return [asyncio.ensure_future(ask(backend)) for _ in range(count)]


def states(backend):
    return {address: status.state for address, status in backend.statuses().items()}


def in_flight(backend):
    return [status.in_flight for status in backend.statuses().values()]


async def until(condition):
    """Return when ``condition()`` holds; the test's own time limit ends what never comes."""
    while not condition():
        await asyncio.sleep(0.001)


@BOTH
@looped
async def test_the_one_with_the_fewest_in_flight_is_chosen_and_equals_take_turns(protocol):
    async with replicated(protocol, "1") as (backend, (first, second), _):
        for _ in range(4):
            await ask(backend)
        assert (first.served, second.served) == (2, 2)
        first.gate.clear()
        second.gate.clear()
        held = asking(backend, 6)
        await until(lambda: (first.in_flight, second.in_flight) == (3, 3))
        second.gate.set()
        await asyncio.wait(held, return_when=asyncio.FIRST_COMPLETED)
        await until(lambda: second.in_flight == 0)
        await asyncio.gather(*asking(backend, 2))  # the second has none in flight, the first three
        assert (first.served, second.served) == (2, 2 + 3 + 2)
        first.gate.set()
        await asyncio.gather(*held)
        assert in_flight(backend) == [0, 0]


@BOTH
@looped
async def test_a_new_replica_gets_requests_once_its_model_is_ready(protocol):
    async with replicated(protocol, "1") as (backend, servers, names):
        late = await type(servers[0])(ADDRESSES[2], servers[0].port).start()
        servers.append(late)
        names.addresses.append(late.address)
        await backend.refresh()
        assert states(backend)[late.address] is DOWN
        for _ in range(6):
            await ask(backend)
        assert late.served == 0
        late.ready.add("1")
        await backend.check("m", "1")
        assert states(backend) == dict.fromkeys(ADDRESSES, UP)
        for _ in range(6):
            await ask(backend)
        assert late.served == 2


@BOTH
@looped
async def test_a_replica_that_is_ready_when_it_is_found_needs_no_further_check(protocol):
    async with replicated(protocol, "1", count=1) as (backend, servers, names):
        servers.append(await type(servers[0])(ADDRESSES[1], servers[0].port, "1").start())
        names.addresses = [ADDRESSES[1]]  # and the one that everybody uses is gone
        await backend.refresh()
        await ask(backend)
        assert [server.served for server in servers] == [0, 1]


@BOTH
@looped
async def test_each_version_goes_to_the_replicas_that_have_it(protocol):
    async with replicated(protocol, "1", "2") as (backend, (old, new), _):
        old.ready, new.ready = {"1"}, {"2"}
        for version in ("1", "2"):
            await backend.check("m", version)
        for _ in range(3):
            await ask(backend, "1")
        assert (old.served, new.served) == (3, 0)
        for _ in range(2):
            await ask(backend, "2")
        assert (old.served, new.served) == (3, 2)


@BOTH
@looped
async def test_a_replica_that_left_dns_answers_what_it_has_and_gets_nothing_new(protocol):
    async with replicated(protocol, "1") as (backend, (left, stays), names):
        left.gate.clear()
        held = asking(backend, 2)
        await until(lambda: left.in_flight and stays.served)
        names.addresses = [stays.address]
        await backend.refresh()
        assert list(states(backend)) == [stays.address]
        await asyncio.gather(*asking(backend, 4))
        left.gate.set()
        await asyncio.gather(*held)
        assert (left.served, stays.served) == (1, 5)
        if isinstance(left, OverHTTP):
            await until(lambda: not left.writers)
            assert stays.writers


@BOTH
@looped
async def test_a_killed_replica_costs_no_request(protocol):
    async with replicated(protocol, "1") as (backend, (killed, _other), _):
        answered = []

        async def client():
            while len(answered) < 400:
                await ask(backend)
                answered.append(None)

        clients = asyncio.gather(*(client() for _ in range(8)))  # at most half of them wait for the one that is killed
        await until(lambda: killed.served > 50)
        killed.gate.clear()
        await until(lambda: killed.in_flight)
        await killed.kill()
        await clients
        assert states(backend)[killed.address] is DOWN


@BOTH
@looped
async def test_what_may_not_run_twice_is_lost_with_its_connection(protocol):
    async with replicated(protocol, "1") as (backend, servers, _):
        held = [
            asyncio.ensure_future(backend(request("m", version="1", parameters={"sequence_id": 7}))) for _ in servers
        ]
        killed = servers[0]
        killed.gate.clear()
        await until(lambda: killed.in_flight)
        await killed.kill()
        outcomes = await asyncio.gather(*held, return_exceptions=True)
        assert sum(isinstance(outcome, ConnectionLost) for outcome in outcomes) == 1


@BOTH
@looped
async def test_a_request_that_kills_two_replicas_gets_no_third(protocol):
    async with replicated(protocol, "1", count=3) as (backend, servers, _):
        for server in servers:
            server.gate.clear()
        asked, alive = asyncio.ensure_future(ask(backend)), set(servers)
        for _ in range(2):
            await until(lambda: any(server.in_flight for server in alive))
            (holding,) = (server for server in alive if server.in_flight)
            alive.remove(holding)
            await holding.kill()
        with pytest.raises(ConnectionLost):
            await asked
        assert [server.in_flight for server in alive] == [0]
        holding.gate.set()


@BOTH
@looped
async def test_the_budget_bounds_what_goes_to_another_replica(protocol):
    async with replicated(protocol, "1") as (backend, (killed, other), _):
        killed.gate.clear()
        held = asking(backend, 400)  # half of them wait for the one that is killed; 180 retries are there
        await until(lambda: killed.in_flight == 200 and other.served == 200)
        await killed.kill()
        outcomes = await asyncio.gather(*held, return_exceptions=True)
        lost = [outcome for outcome in outcomes if isinstance(outcome, ConnectionLost)]
        assert 0 < len(lost) <= 200 - 180
        assert other.served == 400 - len(lost)


@BOTH
@looped
async def test_a_replica_that_refuses_costs_no_request_and_is_used_again_after_a_check(protocol):
    async with replicated(protocol, "1") as (backend, (first, second), _):
        for _ in range(2):
            await ask(backend)
        await first.kill()
        for _ in range(4):
            await ask(backend)
        assert (first.served, second.served) == (1, 5)
        assert states(backend)[first.address] is DOWN
        await backend.check("m", "1")
        assert states(backend)[first.address] is DOWN
        await first.start()
        await until_up(backend, first)
        for _ in range(2):
            await ask(backend)
        assert (first.served, second.served) == (2, 6)


@BOTH
@looped
async def test_a_recorded_request_shows_each_replica_that_it_went_to(protocol):
    async with replicated(protocol, "1") as (backend, (first, second), _):
        await first.kill()
        span = NotedSpan()
        while first.address not in [child.attributes["server.address"] for child in span.children]:  # they take turns
            span = NotedSpan()
            await backend(request("m", version="1", context=RequestContext("test", span=span)))
        assert [(child.name, child.attributes["server.address"], child.outcome) for child in span.children] == [
            ("replica", first.address, "connect_failed"),
            ("replica", second.address, "ok"),
        ]


async def until_up(backend, server):
    """Check as the health checker does, again and again: gRPC waits a moment between two tries to connect."""
    while states(backend)[server.address] is not UP:
        with contextlib.suppress(Unavailable):
            await backend.check("m", "1")
        await asyncio.sleep(0.01)


@BOTH
@looped
async def test_only_when_all_refuse_the_request_fails(protocol):
    async with replicated(protocol, "1") as (backend, servers, _):
        for server in servers:
            await server.kill()
        with pytest.raises(ConnectFailed):
            await ask(backend)
        with pytest.raises(ConnectFailed):
            await backend.check("m", "1")
        assert set(states(backend).values()) == {DOWN}
        await servers[0].start()
        await until_up(backend, servers[0])
        await ask(backend)


@BOTH
@looped
async def test_a_drain_returns_when_nothing_is_in_flight_and_nothing_new_arrives(protocol):
    async with replicated(protocol, "1") as (backend, (drained, stays), _):
        drained.gate.clear()
        held = asking(backend, 2)
        await until(lambda: drained.in_flight and stays.served)
        with pytest.raises(DeadlineExceeded, match=f"replica {drained.address}: 1 requests in flight after 0.01 s"):
            await backend.drain(drained.address, 0.01)
        drain = asyncio.create_task(backend.drain(drained.address, 20))
        await asyncio.gather(*asking(backend, 4))
        assert (drained.served, stays.served) == (0, 5)
        assert not drain.done()
        assert states(backend)[drained.address] is DRAINING
        drained.gate.set()
        await drain
        assert in_flight(backend) == [0, 0]
        await asyncio.gather(*held)
        await backend.check("m", "1")  # that it would be ready changes nothing
        await asyncio.gather(*asking(backend, 4))
        assert drained.served == 1
        with pytest.raises(NotFound, match=f"b' has no replica '10.0.0.1'; known: {drained.address}, {stays.address}"):
            await backend.drain("10.0.0.1", 1)


@BOTH
@looped
async def test_a_drain_ends_with_the_server(protocol):
    async with replicated(protocol, "1") as (backend, (drained, _), _):
        await backend.drain(drained.address, 1)
        await drained.kill()
        await backend.check("m", "1")
        assert states(backend)[drained.address] is DOWN
        await drained.start()
        await until_up(backend, drained)


@BOTH
@looped
async def test_a_backend_whose_replicas_all_drain_takes_nothing(protocol):
    async with replicated(protocol, "1", count=1) as (backend, (only,), _):
        await backend.drain(only.address, 1)
        with pytest.raises(ConnectFailed, match="no replica takes requests"):
            await ask(backend)
        with pytest.raises(Unavailable, match="no replica takes requests"):
            await backend.check("m", "1")


@looped
async def test_known_addresses_stay_while_the_name_has_no_answer():
    async with replicated("http", "1") as (backend, (first, second), names):
        names.addresses = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        await backend.refresh()
        for _ in range(2):
            await ask(backend)
        assert (first.served, second.served) == (1, 1)
        names.addresses = [second.address]
        await backend.refresh()
        assert list(states(backend)) == [second.address]


@looped
async def test_a_name_that_never_had_an_answer_is_said_to_be_unknown():
    async with replicated("http", count=0) as (backend, _, names):
        names.addresses = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        await backend.refresh()
        for call in (ask(backend), backend.check("m", "1"), backend.list_models()):
            with pytest.raises(Unavailable, match="backend 'b': its name cannot be resolved"):
                await call


@looped
async def test_the_name_is_looked_up_again_and_again():
    async with replicated("http", "1", count=1) as (backend, servers, names):
        servers.append(await OverHTTP(ADDRESSES[1], servers[0].port, "1").start())
        watch = asyncio.create_task(backend.keep_refreshing())
        names.addresses.append(ADDRESSES[1])
        await until(lambda: set(states(backend).values()) == {UP} and len(states(backend)) == 2)
        watch.cancel()


@looped
async def test_a_dark_replica_is_found_out_by_its_check_and_gets_no_request():
    async with replicated("http", "1", count=1) as (backend, (good,), names):
        with dark(ADDRESSES[1], good.port):
            names.addresses.append(ADDRESSES[1])
            backend._check_timeout = 0.1
            await backend.refresh()
            await backend.check("m", "1")  # the good one answers for the backend
            assert states(backend) == {good.address: UP, ADDRESSES[1]: DOWN}
            await asyncio.gather(*asking(backend, 10))
            assert good.served == 10


@contextlib.contextmanager
def dark(address, port):
    """Nobody answers at ``address``, not even with a refusal: the queue of connections to accept is full."""
    with contextlib.ExitStack() as stack:
        listening = stack.enter_context(socket.create_server((address, port), backlog=0))
        listening.setblocking(False)
        while True:
            try:
                stack.enter_context(socket.create_connection((address, port), timeout=0.05))
            except TimeoutError:
                break
        yield


@looped
async def test_servers_are_called_by_their_name():
    async with replicated("http", "1") as (backend, servers, _):
        for _ in range(2):
            await ask(backend)
        assert [server.names for server in servers] == [{f"{NAME}:{server.port}"} for server in servers]
