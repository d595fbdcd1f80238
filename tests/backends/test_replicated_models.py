"""What several servers behind one name tell of their models, and how they are told to load them."""

import asyncio

import pytest
from support.looped import looped
from support.manifests import make_signature

from gateway.backends.replicated import ReplicatedBackend
from gateway.core.backend import Backend, ModelDescription
from gateway.core.capabilities import Capabilities
from gateway.core.datatypes import Datatype
from gateway.core.errors import BackendError, ConnectFailed, ModelNotFound, Unavailable
from gateway.core.replicas import ReplicaState

SIGNATURE = make_signature([("x", Datatype.FP32, (-1, 2))], [("y", Datatype.FP32, (-1, 2))])


def described(*versions):
    older = tuple(described(version) for version in versions[:-1])
    return ModelDescription(versions[-1], "here", SIGNATURE, older=older)


class Server(Backend):
    """Has ``versions`` of the model ``m``, or fails with them; notes what it is told to do."""

    kind = "oip"

    def __init__(self, *versions):
        self.name = "b"
        self.versions = versions
        self.told = []

    async def __call__(self, request):
        raise NotImplementedError

    async def check(self, model, version):
        await self.describe(model)
        if version not in self.versions:
            raise Unavailable("not ready")

    async def close(self):
        pass

    async def describe(self, model):
        if isinstance(self.versions[0], Exception):
            raise self.versions[0]
        if self.versions[0] is None:
            await asyncio.Event().wait()
        return described(*self.versions)

    async def list_models(self):
        return [(await self.describe("m")).version, "m"]

    async def load(self, model, version):
        await self.describe(model)
        self.told.append(("load", model, version))

    async def unload(self, model, version):
        await self.describe(model)
        self.told.append(("unload", model, version))


async def behind_one_name(*servers):
    by_address = {f"10.0.0.{number}": server for number, server in enumerate(servers, 1)}

    async def look_up(name):
        return [*by_address]

    backend = ReplicatedBackend(
        "b", "oip", "servers", by_address.__getitem__, resolve_interval=1, check_timeout=0.05, look_up=look_up
    )
    await backend.refresh()
    return backend


@looped
async def test_every_version_that_one_of_them_has_is_told_oldest_first():
    backend = await behind_one_name(Server("2", "10"), Server("1", "2"))
    assert await backend.describe("m") == described("1", "2", "10")
    assert await backend.list_models() == ["10", "m", "2"]


@looped
async def test_one_that_fails_or_hangs_does_not_speak_for_the_others():
    backend = await behind_one_name(Server(BackendError("broken")), Server(None), Server("1"))
    assert await backend.describe("m") == described("1")


@pytest.mark.parametrize(
    ("failures", "raised"),
    [
        ([ModelNotFound("none here"), ModelNotFound("none here")], ModelNotFound),
        ([ModelNotFound("none here"), ConnectFailed("away")], ConnectFailed),  # it may have it
    ],
)
def test_a_model_is_unknown_when_all_say_so(failures, raised):
    @looped
    async def scenario():
        backend = await behind_one_name(*map(Server, failures))
        with pytest.raises(raised):
            await backend.describe("m")

    scenario()


@looped
async def test_a_model_is_loaded_and_unloaded_everywhere():
    servers = [Server("1"), Server(BackendError("out of memory")), Server("1")]
    backend = await behind_one_name(*servers)
    await backend.load("m", "1")
    await backend.check("m", "1")
    assert [status.state for status in backend.statuses().values()] == [
        ReplicaState.UP,
        ReplicaState.DOWN,
        ReplicaState.UP,
    ]
    await backend.unload("m", "1")
    assert [server.told for server in servers] == [
        [("load", "m", "1"), ("unload", "m", "1")],
        [],
        [("load", "m", "1"), ("unload", "m", "1")],
    ]
    assert {status.state for status in backend.statuses().values()} == {ReplicaState.DOWN}


@looped
async def test_what_can_be_carried_is_what_the_servers_tell():
    server = Server("1")
    backend = await behind_one_name(server)
    server.capabilities = Capabilities(request_bytes=7)
    await backend.check("m", "1")
    assert backend.capabilities is server.capabilities
