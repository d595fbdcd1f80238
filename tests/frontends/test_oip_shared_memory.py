"""Tensors in system shared memory, with Triton's own clients."""

import json
import uuid

import numpy as np
import pytest
import tritonclient.grpc as grpc_client
import tritonclient.http as http_client
import tritonclient.utils.shared_memory as segments
from support.triton_models import gateway
from tritonclient.utils import InferenceServerException, serialize_byte_tensor

CLIENTS = {"http": http_client, "grpc": grpc_client}
SIZE = 64


@pytest.fixture(scope="module")
def front(tmp_path_factory):
    with gateway(tmp_path_factory.mktemp("store"), shared_memory=True) as running:
        yield running


@pytest.fixture(scope="module")
def switched_off(tmp_path_factory):
    with gateway(tmp_path_factory.mktemp("store")) as running:
        yield running


@pytest.fixture
def memory():
    """A segment, and the key that it has."""
    key = f"/test-{uuid.uuid4()}"
    handle = segments.create_shared_memory_region("mine", key, 4 * SIZE)
    yield handle, key
    segments.destroy_shared_memory_region(handle)


@pytest.fixture(params=CLIENTS)
def protocol(request):
    return request.param


@pytest.fixture
def use(front, protocol):
    """Use a blocking client of the protocol, in a thread."""

    def run(function, front=front):
        def inner():
            with getattr(front, protocol)() as client:
                try:
                    return function(client, CLIENTS[protocol])
                finally:
                    if front.app is front_app:
                        client.unregister_system_shared_memory()

        return front.blocking(inner)

    front_app = front.app
    return run


def status(client):
    given = client.get_system_shared_memory_status()
    regions = given if isinstance(given, list) else list(given.regions.values())
    return [
        (one["name"], one["key"], one["byte_size"]) if isinstance(one, dict) else (one.name, one.key, one.byte_size)
        for one in regions
    ]


def test_inputs_and_outputs(use, memory):
    handle, key = memory
    a, b = np.arange(16, dtype=np.int32).reshape(1, 16), np.full((1, 16), 2, np.int32)
    segments.set_shared_memory_region(handle, [a, b])

    def infer(client, module):
        client.register_system_shared_memory("region", key, 4 * SIZE)
        assert status(client) == [("region", key, 4 * SIZE)]
        inputs = [module.InferInput(name, [1, 16], "INT32") for name in ("INPUT0", "INPUT1")]
        inputs[0].set_shared_memory("region", SIZE)
        inputs[1].set_shared_memory("region", SIZE, offset=SIZE)
        outputs = [module.InferRequestedOutput(name) for name in ("OUTPUT0", "OUTPUT1")]
        outputs[0].set_shared_memory("region", SIZE, offset=2 * SIZE)
        result = client.infer("simple", inputs, outputs=outputs)
        client.unregister_system_shared_memory("region")
        assert status(client) == []
        return result.get_output("OUTPUT0"), result.as_numpy("OUTPUT1")

    in_memory, in_answer = use(infer)
    shape = in_memory["shape"] if isinstance(in_memory, dict) else list(in_memory.shape)
    assert shape == [1, 16]
    found = segments.get_contents_as_numpy(handle, np.int32, shape, offset=2 * SIZE)
    assert (found == a + b).all()
    assert (in_answer == a - b).all()


def test_strings(use, memory):
    handle, key = memory
    array = np.array([["a", "", "ü"]], dtype=object)
    segments.set_shared_memory_region(handle, [serialize_byte_tensor(array)])
    size = 4 * 3 + 3

    def infer(client, module):
        client.register_system_shared_memory("region", key, 4 * SIZE)
        given = module.InferInput("INPUT0", [1, 3], "BYTES")
        given.set_shared_memory("region", size)
        return client.infer("simple_identity", [given]).as_numpy("OUTPUT0").tolist()

    assert use(infer) == [[b"a", b"", "ü".encode()]]


@pytest.mark.parametrize(
    ("region", "size", "offset", "problem"),
    [
        ("unknown", SIZE, 0, "region 'unknown' is not registered"),
        ("region", SIZE, 4 * SIZE, "are not within shared memory region"),
        ("region", SIZE - 4, 0, "needs 64 bytes, got 60"),
    ],
)
def test_inputs_that_are_not_there(use, memory, region, size, offset, problem):
    def infer(client, module):
        client.register_system_shared_memory("region", memory[1], 4 * SIZE)
        given = module.InferInput("INPUT0", [1, 16], "INT32")
        given.set_shared_memory(region, size, offset=offset)
        client.infer("simple", [given])

    with pytest.raises(InferenceServerException, match=problem):
        use(infer)


def test_outputs_that_cannot_be_reached_are_refused_before_the_model_runs(front, use, memory):
    def infer(client, module):
        client.register_system_shared_memory("region", memory[1], 4 * SIZE)
        given = module.InferInput("INPUT0", [1, 3], "FP32")
        given.set_data_from_numpy(np.zeros((1, 3), np.float32))
        wanted = module.InferRequestedOutput("OUTPUT0")
        wanted.set_shared_memory("region", 4 * SIZE, offset=1)
        client.infer("labelled", [given], outputs=[wanted])

    before = len(front.backend.requests)
    with pytest.raises(InferenceServerException, match=r"outputs\[0\]: 256 bytes from 1 are not within"):
        use(infer)
    assert len(front.backend.requests) == before


def test_an_output_that_does_not_fit(use, memory):
    def infer(client, module):
        client.register_system_shared_memory("region", memory[1], 4 * SIZE)
        given = module.InferInput("INPUT0", [1, 3], "FP32")
        given.set_data_from_numpy(np.zeros((1, 3), np.float32))
        wanted = module.InferRequestedOutput("OUTPUT0")
        wanted.set_shared_memory("region", 11)
        client.infer("labelled", [given], outputs=[wanted])

    with pytest.raises(InferenceServerException, match="12 bytes do not fit into the 11 of shared memory"):
        use(infer)


def test_it_is_among_the_extensions_only_when_it_is_on(front, switched_off):
    for running, there in ((front, True), (switched_off, False)):
        extensions = json.loads(running.ask("GET", "/v2")[2])["extensions"]
        assert ("system_shared_memory" in extensions) is there


@pytest.mark.parametrize(
    "operation",
    [
        lambda client: client.get_system_shared_memory_status(),
        lambda client: client.register_system_shared_memory("region", "/any", 1),
        lambda client: client.unregister_system_shared_memory(),
    ],
)
def test_operations_say_how_to_switch_it_on(use, switched_off, operation):
    with pytest.raises(InferenceServerException, match="`shared_memory: true`"):
        use(lambda client, _: operation(client), switched_off)


def test_inferences_say_how_to_switch_it_on(use, switched_off):
    def infer(client, module):
        given = module.InferInput("INPUT0", [1, 16], "INT32")
        given.set_shared_memory("region", SIZE)
        client.infer("simple", [given])

    with pytest.raises(InferenceServerException, match="`shared_memory: true`"):
        use(infer, switched_off)


def test_the_memory_of_a_gpu_is_refused_and_nothing_of_it_is_registered(use):
    def ask(client, _):
        given = client.get_cuda_shared_memory_status()
        assert len(given if isinstance(given, list) else given.regions) == 0
        with pytest.raises(InferenceServerException, match="'any' is not registered"):
            client.get_cuda_shared_memory_status("any")
        client.unregister_cuda_shared_memory()
        client.unregister_cuda_shared_memory("any")
        client.register_cuda_shared_memory("any", b"AAAA", 0, 1)

    with pytest.raises(InferenceServerException, match="system shared memory is the way"):
        use(ask)


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"", "key"),
        (b"{}", "key"),
        (b'{"key": 3, "byte_size": 1}', "key"),
        (b'{"key": "/a", "byte_size": -1}', "byte_size"),
        (b'{"key": "/a", "byte_size": 1, "offset": 18446744073709551616}', "offset"),
        (b'{"key": "/a/../b", "byte_size": 1}', "key: the name of a POSIX shared memory segment is expected"),
    ],
)
def test_bad_registrations_name_the_field(front, body, problem):
    status, _, answer = front.ask("POST", "/v2/systemsharedmemory/region/r/register", body)
    assert status == 400
    assert problem in json.loads(answer)["error"]
