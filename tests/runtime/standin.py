"""A model server of a few lines, run as a program: answers any POST, in whatever way a test needs.

SIGUSR1 makes it stand still, in ``stand_still``.

Usage: standin.py PORT [worker] [stubborn] [late=FILE] [status=N]
"""

import http.server
import json
import pathlib
import signal
import subprocess
import sys
import time

port, options = int(sys.argv[1]), sys.argv[2:]
values = dict(option.split("=", 1) for option in options if "=" in option)

if "worker" in options:  # as TorchServe's Java starts Python
    subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
if "stubborn" in options:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def stand_still(*_):
    time.sleep(1000)


signal.signal(signal.SIGUSR1, stand_still)


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        loaded = "late" not in values or pathlib.Path(values["late"]).exists()
        self.send_response(int(values.get("status", 200)) if loaded else 503)
        body = json.dumps({"outputs": []} if loaded else {"error": "model is loading"}).encode()
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


sys.stderr.write(f"stand-in on port {port}\n")
http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
