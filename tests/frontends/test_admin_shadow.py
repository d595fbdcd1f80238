"""What the admin port tells of shadows: sums for everybody there, what clients sent for administrators."""

import asyncio
import io
import json
import math

import numpy as np
import pytest
from starlette.applications import Starlette

from gateway.core.datatypes import Datatype
from gateway.core.differences import Difference
from gateway.core.mirror_tally import MirrorFindings
from gateway.core.mismatches import Mismatch, Mismatches
from gateway.core.tensors import Tensor, join_bytes
from gateway.frontends.admin_shadow import shadow_routes
from gateway.frontends.authorization import Authorization

WORDS = Tensor("words", Datatype.BYTES, (1, 2), join_bytes([b"a", "é"]))
HALVES = Tensor("halves", Datatype.BF16, (2,), b"\x80\x3f\0\0")


@pytest.fixture
def findings():
    findings = MirrorFindings(Mismatches(10**6))
    found = [Difference("halves", "shapes [2] and [1]", math.inf, math.inf)]
    findings.tally("m", "1", "b").add(found)
    mismatch = Mismatch("m", "1", "b", 1.5, ("a", "b"), "id", "", (WORDS,), (HALVES,), (HALVES,), found)
    findings.mismatches.keep(mismatch, 5)
    return findings


def get(findings, path, authorization=None, host="127.0.0.1", token=""):
    """Status, headers and body of the answer."""
    app = Starlette(routes=shadow_routes(findings, authorization or Authorization(loopback=True)))
    headers = [(b"authorization", f"Bearer {token}".encode())] if token else []
    scope = {
        "type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "query_string": b"",
        "headers": headers, "client": (host, 1), "root_path": "",
    }  # fmt: skip
    sent = []

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        sent.append(message)

    asyncio.run(app(scope, receive, send))
    body = b"".join(message.get("body", b"") for message in sent)
    return sent[0]["status"], dict(sent[0]["headers"]), body


def test_infinity_is_told_in_words(findings):
    status, _, body = get(findings, "/shadow")
    assert (status, json.loads(body)["m/1"]["b"]["max_abs"]) == (200, "inf")
    _, _, body = get(findings, "/shadow/samples")
    (told,) = json.loads(body)
    assert (told["outputs"]["halves"]["max_abs"], told["outputs"]["halves"]["problem"]) == ("inf", "shapes [2] and [1]")


def test_an_archive_is_read_without_pickle(findings):
    status, headers, body = get(findings, "/shadow/samples/1")
    assert (status, headers[b"content-disposition"]) == (200, b'attachment; filename="shadow-1.npz"')
    archive = np.load(io.BytesIO(body), allow_pickle=False)
    assert archive["input/words"].tolist() == [[b"a", "é".encode()]]
    assert archive["primary/halves"].tolist() == archive["target/halves"].tolist() == [0x3F80, 0]


@pytest.mark.parametrize("path", ["/shadow/samples", "/shadow/samples/1"])
def test_what_clients_sent_is_for_administrators(findings, path):
    rule = Authorization(token="secret", loopback=True)
    assert get(findings, path, rule, host="192.0.2.1")[0] == 401
    assert get(findings, path, rule, host="192.0.2.1", token="wrong")[0] == 401
    assert get(findings, path, rule, host="192.0.2.1", token="secret")[0] == 200
    assert get(findings, path, Authorization(), host="127.0.0.1")[0] == 403


@pytest.mark.parametrize("path", ["/shadow/samples/2", "/shadow/samples/0", "/shadow/samples/99999999999999999999"])
def test_a_sample_that_is_not_kept_is_not_found(findings, path):
    assert get(findings, path)[0] == 404


def test_nothing_was_found_yet():
    findings = MirrorFindings(Mismatches(1))
    assert json.loads(get(findings, "/shadow")[2]) == {}
    assert json.loads(get(findings, "/shadow/samples")[2]) == []
