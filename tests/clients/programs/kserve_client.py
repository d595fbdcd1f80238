"""KServe's clients for inference, over REST (both protocol versions) and gRPC: ``kserve_client.py HTTP GRPC``."""

import asyncio
import sys

import numpy as np
from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest, RESTConfig

FIRST, SECOND = np.arange(16, dtype=np.int32).reshape(1, 16), np.ones((1, 16), np.int32)


def sums(*, binary):
    """A request for a sum and a difference."""
    inputs = [InferInput(name, [1, 16], "INT32") for name in ("INPUT0", "INPUT1")]
    for given, array in zip(inputs, (FIRST, SECOND), strict=True):
        given.set_data_from_numpy(array, binary_data=binary)
    return InferRequest(model_name="simple", infer_inputs=inputs)


def check(response):
    """The two outputs are what they must be."""
    outputs = {output.name: output.as_numpy() for output in response.outputs}
    assert (outputs["OUTPUT0"] == FIRST + SECOND).all(), outputs
    assert (outputs["OUTPUT1"] == FIRST - SECOND).all(), outputs


async def rest(base):
    """Version 2 with JSON and with binary tensors, health, and version 1."""
    client = InferenceRESTClient(config=RESTConfig(protocol="v2"))
    for binary in (False, True):
        check(await client.infer(base, sums(binary=binary), model_name="simple"))
    assert await client.is_server_live(base)
    assert await client.is_server_ready(base)
    assert await client.is_model_ready(base, "simple")
    assert not await client.is_model_ready(base, "unknown")
    await client.close()
    client = InferenceRESTClient(config=RESTConfig(protocol="v1"))
    answer = await client.infer(base, {"instances": [1.0, 2.0, 5.0]}, model_name="half_plus_two")
    assert answer == {"predictions": [2.5, 3.0, 4.5]}, answer
    await client.close()


async def grpc(address):
    """Typed and raw contents, and health."""
    client = InferenceGRPCClient(address)
    for binary in (False, True):
        check(await client.infer(sums(binary=binary)))
    assert await client.is_server_live()
    assert await client.is_server_ready()
    assert await client.is_model_ready("simple")
    await client.close()


async def main():
    """Both protocols."""
    http_address, grpc_address = sys.argv[1:]
    await rest(f"http://{http_address}")
    await grpc(grpc_address)


asyncio.run(main())
