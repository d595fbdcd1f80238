"""``--annotate`` against a server that takes what Grafana's HTTP API takes."""

from __future__ import annotations

import asyncio
import json
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from support.load_reports import make_digest, make_report

from loadtest.commands.annotating import annotate
from loadtest.load.loads import ClosedLoop

Invoke = Callable[..., Any]
MADE = make_digest(make_report(loads=(ClosedLoop(concurrency=1),)))


class _Grafana(HTTPServer):
    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.status = 200
        self.taken: list[tuple[str, str, dict[str, Any]]] = []

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: _Grafana

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.taken.append((self.path, self.headers.get("Authorization", ""), body))
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def grafana() -> Iterator[_Grafana]:
    server = _Grafana()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_run_is_marked_from_its_start_to_its_end(loadtest: Invoke, grafana: _Grafana) -> None:
    result = loadtest(
        "run", "tiny", "--backend", "onnxruntime", "--via", "direct", "--duration", "0.3", "--concurrency", "1",
        "--annotate", f"http://{grafana.host}/",
    )  # fmt: skip
    assert result.exit_code in (0, 3), result.output
    ((path, authorization, body),) = grafana.taken
    assert (path, authorization) == ("/api/annotations", "")
    assert body["tags"] == ["loadtest", "run", "tiny"]
    assert body["timeEnd"] - body["time"] >= 300  # ms
    assert "requests/s, p99" in body["text"]


@pytest.mark.parametrize(
    ("user", "token", "authorization"),
    [
        ("", "secret", "Bearer secret"),
        ("admin:pass@", "", f"Basic {b64encode(b'admin:pass').decode()}"),
        ("admin:pass@", "secret", f"Basic {b64encode(b'admin:pass').decode()}"),
    ],
)
def test_who_marks(
    grafana: _Grafana, monkeypatch: pytest.MonkeyPatch, user: str, token: str, authorization: str
) -> None:
    monkeypatch.setenv("GRAFANA_TOKEN", token)
    assert asyncio.run(annotate(MADE, f"http://{user}{grafana.host}")) == ""
    assert grafana.taken[0][1] == authorization


def test_a_refusal_is_told(grafana: _Grafana) -> None:
    grafana.status = 401
    assert asyncio.run(annotate(MADE, f"http://{grafana.host}")) == "HTTP 401 Unauthorized"


def test_a_grafana_that_is_away_costs_a_warning_and_not_the_run(loadtest: Invoke, grafana: _Grafana) -> None:
    grafana.server_close()
    result = loadtest(
        "run", "tiny", "--backend", "onnxruntime", "--via", "direct", "--duration", "0.3", "--concurrency", "1",
        "--annotate", f"http://admin:pass@{grafana.host}",
    )  # fmt: skip
    assert result.exit_code in (0, 3), result.output
    assert "Not marked in Grafana: " in result.output
    assert "admin:pass" not in result.output


@pytest.mark.parametrize("address", ["grafana:3000", "ftp://grafana", "http://", "http://[", "http://grafana:port"])
def test_what_is_no_address_is_refused_before_anything_is_measured(loadtest: Invoke, address: str) -> None:
    result = loadtest("run", "tiny", "--concurrency", "1", "--annotate", address)
    assert result.exit_code == 2
    assert "--annotate: the address of a Grafana" in result.output
