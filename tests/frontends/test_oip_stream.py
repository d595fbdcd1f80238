"""ModelStreamInfer: order, bounds and ends."""

import asyncio
import contextlib
import queue

import grpc
import pytest
import tritonclient.grpc as grpc_client
import tritonclient.grpc.aio as grpc_aio
from support.triton_models import gateway, sums

from gateway.codecs import oip_grpc
from gateway.core.errors import Unavailable
from gateway.frontends.grpc_edge import Gate
from gateway.frontends.oip.stream import MAX_IN_FLIGHT, answer_in_order
from gateway.protos.loader import message_class

StreamResponse = message_class("inference.ModelStreamInferResponse")


class Answers:
    """Answers when it is told to, and knows what it works on."""

    def __init__(self):
        self.running = {}
        self.cancelled = []

    async def __call__(self, data):
        self.running[data] = asyncio.get_running_loop().create_future()
        try:
            return await self.running[data]
        except asyncio.CancelledError:
            self.cancelled.append(data)
            raise

    def release(self, *names):
        for name in names:
            self.running[name].set_result(name)


async def messages(*names, then=None):
    for name in names:
        yield name
    if then is not None:
        await then


async def settle():
    for _ in range(5):
        await asyncio.sleep(0)


def run(coroutine):
    return asyncio.run(asyncio.wait_for(coroutine, 10))


def test_answers_come_in_the_order_of_the_requests():
    async def check():
        answers = Answers()
        stream = answer_in_order(messages(b"a", b"b", b"c"), answers, Gate())
        first = asyncio.ensure_future(anext(stream))
        await settle()
        assert set(answers.running) == {b"a", b"b", b"c"}  # all at a time
        answers.release(b"c", b"b")
        await settle()
        assert not first.done()
        answers.release(b"a")
        return [await first, *[message async for message in stream]]

    assert run(check()) == [b"a", b"b", b"c"]


def test_no_more_is_read_than_may_be_worked_on():
    async def check():
        answers = Answers()
        names = [str(number).encode() for number in range(MAX_IN_FLIGHT + 5)]
        stream = answer_in_order(messages(*names), answers, Gate())
        first = asyncio.ensure_future(anext(stream))
        await settle()
        assert len(answers.running) == MAX_IN_FLIGHT
        answers.release(names[0])
        await first
        second = asyncio.ensure_future(anext(stream))
        await settle()
        assert len(answers.running) == MAX_IN_FLIGHT + 1
        second.cancel()

    run(check())


def test_what_is_not_answered_when_the_client_goes_is_cancelled():
    async def check():
        answers = Answers()
        endless = asyncio.get_running_loop().create_future()
        stream = answer_in_order(messages(b"a", b"b", b"c", then=endless), answers, Gate())
        first = asyncio.ensure_future(anext(stream))
        await settle()
        first.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await first
        await settle()
        assert sorted(answers.cancelled) == [b"a", b"b", b"c"]
        assert endless.cancelled()

    run(check())


def test_an_error_while_reading_ends_the_stream():
    async def check():
        async def broken():
            yield b"a"
            raise ValueError("broken")

        async def echo(data):
            return data

        stream = answer_in_order(broken(), echo, Gate())
        assert await anext(stream) == b"a"
        with pytest.raises(ValueError, match="broken"):
            await anext(stream)

    run(check())


def test_a_closed_gate_ends_an_idle_stream_once_all_is_answered():
    async def check():
        answers, gate = Answers(), Gate()
        endless = asyncio.get_running_loop().create_future()
        stream = answer_in_order(messages(b"a", then=endless), answers, gate)
        first = asyncio.ensure_future(anext(stream))
        await settle()
        gate.close()
        answers.release(b"a")
        assert await first == b"a"
        with pytest.raises(Unavailable, match="shutting down"):
            await anext(stream)

    run(check())


# over the wire


@pytest.fixture(scope="module")
def front(tmp_path_factory):
    with gateway(tmp_path_factory.mktemp("store")) as running:
        yield running


def test_tritonclients_stream(front):
    def use():
        answers = queue.SimpleQueue()
        inputs, expected = sums(grpc_client)
        with front.grpc() as client:
            client.start_stream(lambda result, error: answers.put((result, error)))
            for number in range(3):
                client.async_stream_infer("simple", inputs, request_id=str(number), enable_empty_final_response=True)
            client.async_stream_infer("unknown", inputs, request_id="3")
            client.async_stream_infer("simple", inputs, request_id="4", priority=1, timeout=5)
            got = [answers.get(timeout=10) for _ in range(5)]
            client.stop_stream()
        return expected, got

    expected, got = front.blocking(use)
    for number in (0, 1, 2, 4):
        result, error = got[number]
        assert error is None
        response = result.get_response()
        assert response.id == str(number)
        assert response.parameters["triton_final_response"].bool_param
        assert (result.as_numpy("OUTPUT0") == expected[0]).all()
    result, error = got[3]
    assert result is None
    assert "unknown model 'unknown'" in error.message()
    assert front.backend.requests[-1].context.priority == 1
    assert "triton_enable_empty_final_response" not in front.backend.requests[0].parameters


def test_tritonclients_stream_with_asyncio(front):
    async def use():
        inputs, _ = sums(grpc_client)

        async def requests():
            for number in range(3):
                yield {"model_name": "simple", "inputs": inputs, "request_id": str(number)}

        async with grpc_aio.InferenceServerClient(front.addresses["grpc"]) as client:
            return [result.get_response().id async for result, _ in client.stream_infer(requests())]

    assert front.loop.run(use()) == ["0", "1", "2"]


def test_a_broken_message_is_answered_and_the_stream_goes_on(front):
    async def use():
        good = message_class("inference.ModelInferRequest")(model_name="simple", id="2").SerializeToString()
        async with grpc.aio.insecure_channel(front.addresses["grpc"]) as channel:
            call = channel.stream_stream(oip_grpc.STREAM_METHOD)
            return [StreamResponse.FromString(data) async for data in call(iter([b"\xff", good]))]

    broken, misfit = front.loop.run(use())
    assert "not a valid inference.ModelInferRequest" in broken.error_message
    assert (misfit.infer_response.id, "is missing" in misfit.error_message) == ("2", True)


def test_the_first_error_ends_the_stream_of_a_client_that_wants_it(front):
    async def use():
        inputs, _ = sums(grpc_client)

        async def requests():
            for model in ("simple", "unknown"):
                yield {"model_name": model, "inputs": inputs}
            # Not over, and silent: a message that grpc writes to an ended call may hide that call's status.
            await asyncio.get_running_loop().create_future()

        got = []
        async with grpc_aio.InferenceServerClient(front.addresses["grpc"]) as client:
            try:
                async for result, error in client.stream_infer(requests(), headers={"triton_grpc_error": "true"}):
                    got.append((result.get_response().model_name, error))
            except grpc.aio.AioRpcError as error:
                return got, error.code()

    assert front.loop.run(use()) == ([("simple", None)], grpc.StatusCode.NOT_FOUND)


def test_a_client_that_cancels_leaves_nothing_behind(front, monkeypatch):
    async def use():
        started, ended = asyncio.Event(), asyncio.Event()

        async def never(self, request):
            started.set()
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                ended.set()

        monkeypatch.setattr(type(front.backend), "__call__", never)
        given, _ = sums(grpc_client)
        async with grpc_aio.InferenceServerClient(front.addresses["grpc"]) as client:

            async def one():
                yield {"model_name": "simple", "inputs": given}

            answers = client.stream_infer(one())
            waiting = asyncio.ensure_future(anext(answers))
            await asyncio.wait_for(started.wait(), 10)
            answers.cancel()
            await asyncio.wait_for(ended.wait(), 10)
            with contextlib.suppress(BaseException):
                await waiting

    front.loop.run(use())


def test_the_deadline_of_the_call_bounds_its_messages(front, monkeypatch):
    timeouts = []

    async def note(self, request):
        timeouts.append(request.context.timeout)
        raise Unavailable("noted")

    monkeypatch.setattr(type(front.backend), "__call__", note)

    async def use():
        inputs, _ = sums(grpc_client)

        async def one():
            yield {"model_name": "simple", "inputs": inputs}

        async with grpc_aio.InferenceServerClient(front.addresses["grpc"]) as client:
            hints = {"x-gateway-timeout-ms": "5000"}
            return [str(error) async for _, error in client.stream_infer(one(), headers=hints)]

    (error,) = front.loop.run(use())
    assert "noted" in error
    assert timeouts == [5.0]


def test_a_stopping_gateway_does_not_wait_for_an_idle_stream(tmp_path):
    with gateway(tmp_path, drain={"grace": 0.0, "timeout": 60.0}) as front:

        async def open_stream():
            channel = grpc.aio.insecure_channel(front.addresses["grpc"])
            call = channel.stream_stream(oip_grpc.STREAM_METHOD)()
            await call.write(b"\xff")
            await call.read()
            return channel, call

        channel, call = front.loop.run(open_stream())
        front.app.stop()

        async def status():
            code = await asyncio.wait_for(call.code(), 10)
            await channel.close()
            return code

        assert front.loop.run(status()) is grpc.StatusCode.UNAVAILABLE
