"""What is asked of another server until it is ready."""

import http.server
import threading

import pytest

from benchmarks.peers.peer import _ask
from benchmarks.process import free_ports


@pytest.fixture
def server():
    """Answers with the status that its path says."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            asked.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(int(self.path[1:]))
            self.end_headers()
            self.wfile.write(b"because")

        def log_message(self, *_):
            pass

    asked = []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{running.server_port}", asked
        running.shutdown()


def test_an_answer_is_no_problem(server):
    address, asked = server
    assert _ask(address, "/200", b"body", {"content-type": "x"}) == ""
    assert asked == [b"body"]


def test_a_refusal_is_said(server):
    address, _ = server
    assert _ask(address, "/503", b"", {}) == "HTTP 503: because"


def test_one_that_does_not_listen_yet_is_asked_again_later():
    (port,) = free_ports(1)
    assert "refused" in _ask(f"127.0.0.1:{port}", "/200", b"", {})
