"""Who may see and change the configuration, and how bodies are read; the rest is in tests/test_reload.py."""

import json

import pytest
from starlette.applications import Starlette
from support.looped import looped

from gateway.core.errors import Conflict
from gateway.frontends.admin_config import config_routes
from gateway.frontends.authorization import Authorization

HERE, ELSEWHERE = "127.0.0.1", "10.1.2.3"


class Played:
    """Notes what it was asked for."""

    def __init__(self):
        self.asked = []

    def shown(self):
        self.asked.append("shown")
        return {"name": "x"}

    async def patch(self, patch, *, dry_run):
        self.asked.append((patch, dry_run))
        return {"retries.attempts": (1, 2)}

    async def reload(self, trigger, *, dry_run):
        self.asked.append((trigger, dry_run))
        raise Conflict("http.port: needs a restart")


async def ask(config, authorization, method, path, *, host=HERE, token="", pieces=(b"{}",)):
    """Status and document of one exchange, in pieces as a client may send them."""
    path, _, query = path.partition("?")
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": query.encode(),
        "headers": [(b"authorization", f"Bearer {token}".encode())] if token else [],
        "client": (host, 1),
    }
    left, sent = list(pieces), []

    async def receive():
        piece = left.pop(0) if left else b""
        return {"type": "http.request", "body": piece, "more_body": bool(left)}

    async def send(message):
        sent.append(message)

    await Starlette(routes=config_routes(config, authorization))(scope, receive, send)
    return sent[0]["status"], json.loads(b"".join(part.get("body", b"") for part in sent[1:]))


OPERATIONS = [("GET", "/config"), ("PATCH", "/config"), ("POST", "/config/reload")]


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_only_administrators_see_and_change_it(method, path):
    @looped
    async def scenario():
        rule = Authorization(token="secret", loopback=True)
        for host, token, allowed, status in [
            (HERE, "", rule, None),
            (ELSEWHERE, "secret", rule, None),
            (ELSEWHERE, "wrong", rule, 401),
            (ELSEWHERE, "", rule, 401),
            (ELSEWHERE, "", Authorization(loopback=True), 403),
        ]:
            config = Played()
            found, _ = await ask(config, allowed, method, path, host=host, token=token)
            assert (found == status, bool(config.asked)) == (status is not None, status is None)

    scenario()


@looped
async def test_answers_tell_what_has_changed_or_why_nothing_has():
    config, rule = Played(), Authorization(loopback=True)
    changed = {"retries.attempts": {"from": 1, "to": 2}}
    pieces = (b'{"a"', b": nul", b"l}")
    assert await ask(config, rule, "PATCH", "/config?dry_run=1", pieces=pieces) == (
        200,
        {"changed": changed, "dry_run": True},
    )
    assert await ask(config, rule, "POST", "/config/reload") == (409, {"error": "http.port: needs a restart"})
    assert await ask(config, rule, "GET", "/config") == (200, {"name": "x"})
    assert config.asked == [({"a": None}, True), ("api", False), "shown"]


@pytest.mark.parametrize(
    ("query", "pieces", "status", "problem"),
    [
        ("?dry_run=true", (b"{}",), 400, "dry_run: 0 or 1 is expected, got 'true'"),
        ("", (b"{",), 400, "the patch: JSON: "),
        ("", (), 400, "the patch: JSON: "),
        ("", (b'{"a": 1}\xff',), 400, "the patch: JSON: "),
        ("", (b'{"a": "' + b"x" * 2**19, b"x" * 2**19 + b'"}'), 413, "the patch: at most 1048576 bytes"),
    ],
)
def test_what_is_no_patch_changes_nothing(query, pieces, status, problem):
    @looped
    async def scenario():
        config = Played()
        found, answer = await ask(config, Authorization(loopback=True), "PATCH", f"/config{query}", pieces=pieces)
        assert (found, answer["error"][: len(problem)], config.asked) == (status, problem, [])

    scenario()
