"""One line a request: what it asked for and how it went, the ids, and nothing of its data."""

import json
from pathlib import Path

import numpy as np
import pytest
import structlog
from support.logged import logged
from support.services import echo, request

from gateway.core.current import CURRENT
from gateway.core.errors import BackendError, InvalidRequest, ModelNotFound, NoHealthyBackend
from gateway.core.messages import RequestContext
from gateway.telemetry.access_log import AccessLines

PAGE = (Path(__file__).parents[2] / "docs" / "telemetry.md").read_text(encoding="utf-8")
SECRET = 987654321.0


@pytest.fixture
def lines(monkeypatch):
    """The lines written so far."""
    token = CURRENT.set(None)
    with logged(monkeypatch, "gateway.telemetry.access_log") as lines:
        yield lines
    CURRENT.reset(token)


@pytest.fixture
def asked():
    context = RequestContext(
        "oip-http",
        served_by="b",
        backend_seconds=0.005,
        queue_seconds=0.002,
        traceparent=f"00-{'a' * 32}-{'b' * 16}-00",
        request_id="seven",
    )
    context.started -= 0.025
    return request("m", np.full((1, 2), SECRET, np.float32), context=context, id="seven")


def test_an_answer_is_a_line_with_everything_but_the_data(lines, asked):
    CURRENT.set(asked.context)
    response = echo(asked)
    response.version = "3"
    AccessLines().answered(asked, response)
    (line,) = lines()
    assert not [name for name in line if f"`{name}`" not in PAGE]
    duration, gateway = line.pop("duration_ms"), line.pop("gateway_ms")
    assert duration >= 25
    assert gateway == pytest.approx(duration - 5, abs=0.002)
    assert line.pop("timestamp")
    assert line == {
        "event": "request",
        "level": "info",
        "protocol": "oip-http",
        "model": "m",
        "version": "3",
        "backend": "b",
        "outcome": "ok",
        "queue_ms": 2.0,
        "batch_ms": 0.0,
        "backend_ms": 3.0,
        "bytes_in": 8,
        "bytes_out": 8,
        "trace_id": "a" * 32,
        "request_id": "seven",
    }


def test_a_failure_is_a_warning_that_says_why(lines, asked):
    CURRENT.set(asked.context)
    AccessLines().failed(asked, NoHealthyBackend("nobody is there"))
    (line,) = lines()
    assert (line["level"], line["outcome"], line["problem"]) == ("warning", "no_healthy_backend", "nobody is there")
    assert (line["trace_id"], line["request_id"]) == ("a" * 32, "seven")
    assert "bytes_out" not in line


@pytest.mark.parametrize(
    "error",
    [InvalidRequest(f"inputs[0]: got {SECRET}"), BackendError(f"it said {SECRET}"), ValueError(f"{SECRET}")],
)
def test_what_may_quote_the_data_is_not_written(lines, asked, error):
    AccessLines().failed(asked, error)
    (line,) = lines()
    assert "problem" not in line
    assert str(SECRET) not in json.dumps(line)


def test_a_request_that_a_door_refuses_is_logged_with_what_is_known(lines):
    AccessLines().refused(ModelNotFound("unknown model 'x'"), RequestContext("http"))
    (line,) = lines()
    assert {"event": "request", "protocol": "http", "outcome": "model_not_found"}.items() <= line.items()
    assert not {"trace_id", "request_id", "model"} & line.keys()


def test_of_what_is_turned_away_one_a_second_is_written_with_how_many_were_not(lines):
    now = 100.0
    access = AccessLines(clock=lambda: now)
    for _ in range(5000):
        access.turned_away(b"/v2/models/m/infer?key=secret", 112.4)
    now = 100.9
    access.turned_away(b"/predictions/m", 112.4)
    now = 101.1
    access.turned_away(b"/invocations", 64.0)
    now = 103.0
    access.turned_away(b"/invocations", 64.0)
    first, second, third = lines()
    assert third["left_out"] == 0
    assert not [name for name in first if f"`{name}`" not in PAGE]
    assert first.pop("timestamp")
    assert first == {
        "event": "turned away",
        "level": "warning",
        "outcome": "crowded",
        "path": "/v2/models/m/infer",
        "limit": 112,
        "left_out": 0,
    }
    assert (second["path"], second["limit"], second["left_out"]) == ("/invocations", 64, 5000)


def test_an_address_that_a_client_made_up_is_cut(lines):
    AccessLines().turned_away(b"/predictions/" + b"\xff" * 1000, 64.0)
    (line,) = lines()
    assert line["path"] == "/predictions/" + "\xff" * 187


def test_names_that_a_client_made_up_are_cut(lines, asked):
    asked.model = asked.version = asked.context.request_id = "x" * 100_000
    CURRENT.set(asked.context)
    AccessLines().failed(asked, ModelNotFound("no"))
    (line,) = lines()
    assert line["model"] == line["version"] == line["request_id"] == "x" * 200


def test_whatever_is_logged_meanwhile_carries_the_ids(lines, asked):
    log = structlog.get_logger()
    log.warning("before")
    CURRENT.set(asked.context)
    log.warning("backend refused", status=500)
    before, during = lines()
    assert "trace_id" not in before
    assert (during["trace_id"], during["request_id"], during["status"]) == ("a" * 32, "seven", 500)
