"""Servers that die under load."""

import asyncio
import os
import signal

import numpy as np
import pytest
from support.load import Load
from support.stack import wait_until

# A restart of TorchServe takes most of a minute on a busy machine.
pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

WORKERS = 8
PATH = "/v2/models/digits-mlp/infer"
BODY = {"inputs": [{"name": "input", "datatype": "FP32", "shape": [1, 784], "data": np.zeros(784).tolist()}]}


@pytest.mark.parametrize("victim", ["onnxruntime", "tensorflow", "torchserve"])
def test_a_killed_backend_costs_only_what_was_in_flight_on_it_and_comes_back(stack, victim):
    before = stack.state["backends"][victim]

    async def run():
        load = Load(stack.state["gateway"]["http"], PATH, BODY, WORKERS)
        await load.until(lambda load: load.served_by[victim] >= 20)
        os.kill(before["pid"], signal.SIGKILL)
        served = load.outcomes["ok"]
        await load.until(lambda load: load.outcomes["ok"] >= served + 200)  # the others go on
        count = load.served_by[victim]
        await asyncio.to_thread(wait_until, lambda: stack.state["backends"][victim]["state"] == "ready", 120)
        await load.until(lambda load: load.served_by[victim] >= count + 20)  # and it comes back
        await load.stop()
        return load

    load = asyncio.run(run())
    failures = sum(load.failures_of.values())
    assert failures <= WORKERS, load.errors
    assert all(count <= 1 for count in load.failures_of.values()), load.errors
    after = stack.state["backends"][victim]
    assert after["pid"] != before["pid"]
    assert after["restarts"] == before["restarts"] + 1


def test_a_killed_gateway_comes_back_on_the_same_ports(stack):
    before = stack.state["gateway"]
    os.kill(before["pid"], signal.SIGKILL)
    wait_until(lambda: stack.state["gateway"]["restarts"] == before["restarts"] + 1)
    wait_until(lambda: stack.state["gateway"]["state"] == "ready", 120)
    after = stack.state["gateway"]
    assert (after["http"], after["grpc"]) == (before["http"], before["grpc"])
