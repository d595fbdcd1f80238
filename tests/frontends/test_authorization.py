"""Administrative operations: every one of every protocol is held to the same rule, on every port."""

import asyncio
import re

import aiohttp
import grpc
import pytest
import uvloop
from support.gateways import ENGINE, running, settings
from support.tiny_store import make_store

from gateway.core.errors import PermissionDenied, Unauthenticated
from gateway.frontends.authorization import Authorization, Caller
from gateway.operations_table import entries

ADMIN = [entry for entry in entries() if entry.operation.access == "admin"]
HTTP = [entry.operation for entry in ADMIN if entry.transport == "HTTP"]
GRPC = [entry.operation for entry in ADMIN if entry.transport == "gRPC"]


@pytest.mark.parametrize(
    ("host", "here"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("10.0.0.1", False),
        ("::ffff:10.0.0.1", False),
        ("", False),
        ("localhost", False),
    ],
)
def test_a_caller_on_this_machine_is_told_apart(host, here):
    assert Caller(host).on_this_machine is here


def test_nobody_is_an_administrator_by_default():
    with pytest.raises(PermissionDenied):
        Authorization().require_admin(Caller("127.0.0.1", "Bearer secret"))


def test_a_port_may_trust_its_machine_and_no_other():
    rule = Authorization().with_loopback()
    rule.require_admin(Caller("::1"))
    with pytest.raises(PermissionDenied):
        rule.require_admin(Caller("10.0.0.1"))


@pytest.mark.parametrize(
    "given", ["", "secret", "Basic secret", "Bearer", "Bearer secre", "Bearer secretx", "Bearer é"]
)
def test_only_the_right_token_opens(given):
    rule = Authorization("secret")
    rule.require_admin(Caller("10.0.0.1", "Bearer secret"))
    rule.require_admin(Caller("10.0.0.1", "bearer secret"))
    with pytest.raises(Unauthenticated):
        rule.require_admin(Caller("127.0.0.1", given))


@pytest.fixture(scope="module")
def statuses(tmp_path_factory):
    """What each administrative operation answers: status by (port, token, path), and gRPC codes likewise."""
    folder = tmp_path_factory.mktemp("authorization")
    (folder / "token").write_text("secret\n")
    control = {"token_file": folder / "token"}
    store = make_store(folder / "store")

    async def ask():
        found = {}
        async with running(settings(store, {"here": ENGINE}, models=["double"], control=control)) as (_, ports):
            async with aiohttp.ClientSession() as session:
                for port, token in [("http", None), ("http", "wrong"), ("http", "secret"), ("admin", None)]:
                    headers = {"Authorization": f"Bearer {token}"} if token else {}
                    for operation in HTTP:
                        path = re.sub(r"\{\w+\}", "no-such-thing", operation.path)
                        async with session.request(
                            operation.method, f"http://{ports[port]}{path}", headers=headers
                        ) as answer:
                            found[port, token, operation.key] = answer.status
            async with grpc.aio.insecure_channel(ports["grpc"]) as channel:
                for token in (None, "wrong", "secret"):
                    metadata = (("authorization", f"Bearer {token}"),) if token else ()
                    for operation in GRPC:
                        try:
                            await channel.unary_unary(f"/{operation.path}")(b"", metadata=metadata, timeout=10)
                            code = grpc.StatusCode.OK
                        except grpc.aio.AioRpcError as error:
                            code = error.code()
                        found["grpc", token, operation.key] = code
        return found

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(ask())


@pytest.mark.parametrize("operation", HTTP, ids=lambda operation: f"{operation.method} {operation.path}")
def test_every_administrative_path_asks_for_the_token(statuses, operation):
    assert statuses["http", None, operation.key] == 401
    assert statuses["http", "wrong", operation.key] == 401
    assert statuses["http", "secret", operation.key] not in (401, 403)
    assert statuses["admin", None, operation.key] not in (401, 403)


@pytest.mark.parametrize("operation", GRPC, ids=lambda operation: operation.path)
def test_every_administrative_method_asks_for_the_token(statuses, operation):
    assert statuses["grpc", None, operation.key] is grpc.StatusCode.UNAUTHENTICATED
    assert statuses["grpc", "wrong", operation.key] is grpc.StatusCode.UNAUTHENTICATED
    denied = (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED)
    assert statuses["grpc", "secret", operation.key] not in denied


def test_there_are_administrative_operations():
    assert HTTP
    assert GRPC
