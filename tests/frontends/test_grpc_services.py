"""Health, reflection and the drain of the gRPC server, as real clients see them."""

import asyncio
import contextlib
from types import SimpleNamespace

import grpc
import pytest
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health_pb2_grpc
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from support import raw_http2 as h2
from support.looped import looped

from gateway.core.limits import Limits
from gateway.frontends import grpc_server
from gateway.frontends.crowd import Crowd
from gateway.frontends.grpc_unary import unary

SERVICE = "inference.GRPCInferenceService"
SERVING, NOT_SERVING = HealthCheckResponse.SERVING, HealthCheckResponse.NOT_SERVING
SECONDS = 10.0


class Slow:
    """A door whose one method answers when it is told to."""

    services = (SERVICE,)
    operations = ()

    def __init__(self):
        self.began, self.go_on, self.calls = asyncio.Event(), asyncio.Event(), 0

    def methods(self):
        return {"/s/Slow": unary(self._slow)}

    async def _slow(self, data, call):
        self.calls += 1
        self.began.set()
        await self.go_on.wait()
        return data


@pytest.fixture
def slow(monkeypatch):
    """The only door; made on the test's loop."""
    made = []

    def make(server, gate):
        made.append(Slow())
        return made[0]

    monkeypatch.setattr(grpc_server, "DOORS", {"slow": make})
    return lambda: made[0]


def parts(limits):
    """What the gRPC server itself needs of a ``Server``."""
    return SimpleNamespace(limits=limits, crowd=Crowd(lambda: None, lambda *_: None, on=False))


class Server(grpc_server.GRPCServer):
    """Stops once, and knows its address."""

    address = ""
    stopped = False

    async def stop(self, grace):
        if not self.stopped:
            self.stopped = True
            await super().stop(grace)


@contextlib.asynccontextmanager
async def running(limits=None):
    """The server and a channel to it."""
    server = Server(parts(limits or Limits()), ["slow"])
    server.address = "127.0.0.1:{}".format(server.bind("127.0.0.1", 0))
    await server.start()
    try:
        async with grpc.aio.insecure_channel(server.address) as channel:
            yield server, channel
    finally:
        await server.stop(0)


def ask(channel, service):
    return health_pb2_grpc.HealthStub(channel).Check(HealthCheckRequest(service=service), timeout=SECONDS)


def watch(channel, service):
    return health_pb2_grpc.HealthStub(channel).Watch(HealthCheckRequest(service=service), timeout=SECONDS)


# ---- health


@pytest.mark.parametrize("service", ["", SERVICE])
@looped
async def test_health_is_told(slow, service):
    async with running() as (server, channel):
        assert (await ask(channel, service)).status == NOT_SERVING
        server.set_ready(True)
        assert (await ask(channel, service)).status == SERVING
        server.set_ready(False)
        assert (await ask(channel, service)).status == NOT_SERVING


@looped
async def test_nobody_knows_the_health_of_an_unknown_service(slow):
    async with running() as (server, channel):
        server.set_ready(True)
        with pytest.raises(grpc.aio.AioRpcError, match=r"no service 'no\.Such' here") as caught:
            await ask(channel, "no.Such")
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND
        assert (await watch(channel, "no.Such").read()).status == HealthCheckResponse.SERVICE_UNKNOWN


@looped
async def test_everybody_who_watches_is_told_of_changes(slow):
    async with running() as (server, channel):
        watchers = [watch(channel, service) for service in ("", SERVICE, SERVICE)]
        for ready in (False, True, False, True):
            server.set_ready(ready)
            answers = [await watcher.read() for watcher in watchers]
            assert [answer.status for answer in answers] == [SERVING if ready else NOT_SERVING] * 3
        watchers[1].cancel()
        server.set_ready(False)
        assert [(await watchers[at].read()).status for at in (0, 2)] == [NOT_SERVING] * 2


@looped
async def test_no_change_is_no_news(slow):
    async with running() as (server, channel):
        watcher = watch(channel, "")
        assert (await watcher.read()).status == NOT_SERVING
        server.set_ready(False)
        server.set_ready(True)
        assert (await watcher.read()).status == SERVING


@looped
async def test_only_so_many_may_watch(slow, monkeypatch):
    monkeypatch.setattr("gateway.frontends.grpc_services._MOST_WATCHED", 2)
    async with running() as (_, channel):
        watchers = [watch(channel, "") for _ in range(2)]
        for watcher in watchers:
            await watcher.read()
        assert await watch(channel, "").code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        watchers[0].cancel()
        async with asyncio.timeout(SECONDS):
            while (await (again := watch(channel, "")).read()) is grpc.aio.EOF:
                pass
        again.cancel()


@pytest.mark.parametrize("method", ["Check", "Watch"])
@looped
async def test_a_question_that_is_none_is_refused(slow, method):
    async with running() as (_, channel):
        call = channel.unary_stream(f"/grpc.health.v1.Health/{method}")(b"\xff", timeout=SECONDS)
        assert await call.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert await call.details() == "the message is not a valid grpc.health.v1.HealthCheckRequest"


# ---- reflection


@looped
async def test_reflection_tells_the_services_and_their_methods(slow):
    async with running() as (server, _):

        def look():
            with grpc.insecure_channel(server.address) as own:
                database = ProtoReflectionDescriptorDatabase(own)
                services = set(database.get_services())
                found = DescriptorPool(database).FindServiceByName(SERVICE)
                return services, found.methods_by_name["ModelInfer"].input_type.full_name

        services, message = await asyncio.to_thread(look)
        assert services == {SERVICE, "grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"}
        assert message == "inference.ModelInferRequest"


# ---- the drain


def call_slow(channel, data):
    return channel.unary_unary("/s/Slow")(data, timeout=SECONDS)


@looped
async def test_what_began_before_the_end_is_answered_and_what_comes_later_is_not(slow):
    async with running() as (server, channel):
        call = call_slow(channel, b"began")
        await slow().began.wait()
        watcher = watch(channel, "")
        await watcher.read()
        stopping = asyncio.create_task(server.stop(SECONDS))
        assert await watcher.code() is grpc.StatusCode.UNAVAILABLE  # which holds nobody up
        assert await call_slow(channel, b"late").code() is grpc.StatusCode.UNAVAILABLE
        assert not stopping.done()
        assert not call.done()
        slow().go_on.set()
        assert await call == b"began"
        await stopping
        assert slow().calls == 1


@looped
async def test_what_takes_longer_than_the_grace_is_cut_off(slow):
    async with running() as (server, channel):
        call = call_slow(channel, b"x")
        await slow().began.wait()
        await server.stop(0.1)
        assert await call.code() is grpc.StatusCode.UNAVAILABLE


@looped
async def test_idle_clients_hold_nobody_up(slow):
    async with running() as (server, channel):
        await ask(channel, "")
        async with asyncio.timeout(5):
            await server.stop(60)


@looped
async def test_no_call_is_lost_between_two_servers(slow):
    """While it is told to go, a client's calls are served."""
    async with running() as (server, channel):
        slow().go_on.set()
        await call_slow(channel, b"first")
        stopping = asyncio.create_task(server.stop(SECONDS))
        count = 0
        while not stopping.done():
            call = call_slow(channel, b"x")
            if await call.code() is not grpc.StatusCode.OK:
                assert await call.code() is grpc.StatusCode.UNAVAILABLE
                break
            count += 1
        assert count > 10
        await stopping


@looped
async def test_stopping_what_never_started_is_nothing(slow):
    server = grpc_server.GRPCServer(parts(Limits()), ["slow"])
    await server.stop(1)


@looped
async def test_a_connection_too_many_is_closed(slow):
    async with running(Limits(connections=2)) as (server, channel):
        await ask(channel, "")
        host, port = server.address.split(":")
        _, second = await asyncio.open_connection(host, port)
        third, writer = await asyncio.open_connection(host, port)
        assert await third.read() == b""
        writer.close()
        second.close()
        async with asyncio.timeout(SECONDS):
            while True:
                reader, writer = await asyncio.open_connection(host, port)
                greeted = await reader.read(1)
                writer.close()
                if greeted:
                    break


@looped
async def test_clients_are_told_twice_to_go(slow):
    async with running() as (server, _), h2.connected(server.address) as connection:
        await connection.send(h2.frame(h2.HEADERS, h2.END_HEADERS, 1, h2.header_block(b"/s/Slow")))
        await connection.send(h2.frame(h2.DATA, h2.END_STREAM, 1, h2.message(b"x")))
        await slow().began.wait()
        stopping = asyncio.create_task(server.stop(SECONDS))
        assert await connection.until(h2.GOAWAY) == (2**31 - 1).to_bytes(4, "big") + bytes(4)
        assert await connection.until(h2.GOAWAY) == (1).to_bytes(4, "big") + bytes(4)
        slow().go_on.set()
        assert await connection.until(h2.DATA) == h2.message(b"x")
        await stopping
