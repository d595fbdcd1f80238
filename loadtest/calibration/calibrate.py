"""The load generator's own limits: no server can be measured faster than one that does nothing."""

from __future__ import annotations

import gc
import math

import numpy as np

from loadtest.calibration.null_protocols import GRPC_MESSAGE, HTTP_BODY
from loadtest.calibration.null_server import Transport, null_server
from loadtest.calls import Call
from loadtest.clients import Client, ConnectError
from loadtest.clients.grpc import GrpcClient
from loadtest.clients.http import HttpClient, encode_post
from loadtest.clock import NS, Clock, open_clock
from loadtest.errors import Failed
from loadtest.generator.loops import ClosedLoopRun, OpenLoopRun
from loadtest.generator.recorder import Recorder
from loadtest.load.loads import Constant
from loadtest.load.schedule import with_lead_in
from loadtest.results.block import Columns, Health, IntArray
from loadtest.results.report import Calibration
from loadtest.statistics.quantiles import percentile

_IN_FLIGHT = 64
_LEAD_IN = 0.2
_TIMEOUT = 5.0
_OPEN_LOOP_CONNECTIONS = 512
_BODY = b"x" * 100


async def calibrate(transport: Transport, seconds: float = 1.0, *, lag: bool = False) -> Calibration:
    """Measure a server that does nothing for ``seconds``, once with many requests in flight and once with one.

    With ``lag`` also how late requests are sent at half the ceiling.

    Raises:
        Failed: the server does not start or does not answer.
    """
    with null_server(transport) as address, open_clock() as clock:
        client = _client(transport, address, clock)
        try:
            alone = await _response_times(client, clock, 1, seconds)
            ceiling = len(await _response_times(client, clock, _IN_FLIGHT, seconds)) / seconds
            send_lag = await _send_lag(client, clock, ceiling / 2, seconds) if lag else None
        finally:
            await client.close()
    return Calibration(
        transport=transport,
        ceiling=ceiling,
        floor_p50=percentile(alone, 0.5) / NS,
        floor_p99=percentile(alone, 0.99) / NS,
        send_lag_p99=send_lag,
    )


def _client(transport: Transport, address: str, clock: Clock) -> Client:
    if transport == "gRPC":
        return GrpcClient(address, "/null.Null/Call", [_BODY], clock=clock, timeout=_TIMEOUT)
    host, _, port = address.rpartition(":")
    request = encode_post(address, "/", {}, _BODY)
    return HttpClient(host, int(port), [request], clock=clock, timeout=_TIMEOUT)


async def _response_times(client: Client, clock: Clock, in_flight: int, seconds: float) -> IntArray:
    """In ns, ascending, of the requests of ``seconds`` after the first ones."""
    try:
        await client.connect(in_flight)
    except ConnectError as error:
        raise Failed(f"the null server cannot be reached: {error}") from None
    recorder = Recorder(check=_good)
    await ClosedLoopRun(client, recorder, [0], clock).run(in_flight, int(_LEAD_IN * NS), int(seconds * NS))
    block = recorder.block("", 0, now=clock.now(), health=Health(generator_cpu=0.0))
    times = np.sort(Columns.of(block).response_time) if block is not None else np.array([], dtype=np.int64)
    if not len(times):
        raise Failed("the null server does not answer")
    return times


async def _send_lag(client: Client, clock: Clock, rate: float, seconds: float) -> float:
    """The 99th percentile (s) of how late requests are sent that are due at a constant ``rate``."""
    await client.connect(_OPEN_LOOP_CONNECTIONS)
    recorder = Recorder(check=_good)
    start = clock.now() + int(_LEAD_IN * NS)
    recorder.open(start, int(seconds * NS))
    due = with_lead_in(Constant(rate=rate), int(_LEAD_IN * NS), seconds, 0) + start
    gc.collect()
    gc.disable()  # as while a server is measured
    try:
        await OpenLoopRun(client, recorder, [0], clock).run(due.tolist(), _OPEN_LOOP_CONNECTIONS)
    finally:
        gc.enable()
    block = recorder.block("", 0, now=clock.now(), health=Health(generator_cpu=0.0))
    if block is None or block.void:
        return math.inf
    return percentile(np.sort(Columns.of(block).send_lag), 0.99) / NS


def _good(call: Call) -> bool:
    return call.body in (HTTP_BODY, GRPC_MESSAGE)
