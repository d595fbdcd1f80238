"""A real Prometheus that runs the project's own configuration, and pages of servers that are not here to be scraped."""

import contextlib
import json
import re
import subprocess
import threading
import urllib.error
import urllib.parse
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import yaml

from support.promql import REPOSITORY, RULES
from support.stack import _die_with_parent, wait_until

FOLDER = REPOSITORY / "deploy" / "prometheus"


class Prometheus:
    """A running server."""

    def __init__(self, address):
        self.address = address

    def ask(self, path, **parameters):
        """The data of an answer of its HTTP API."""
        url = f"http://{self.address}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                document = json.loads(answer.read())
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{parameters}: {error.read().decode()}") from None
        assert document["status"] == "success", document
        assert not document.get("warnings"), document
        return document["data"]

    def query(self, expression):
        """The samples of an instant query: labels and value."""
        return [
            (sample["metric"], float(sample["value"][1])) for sample in self.ask("query", query=expression)["result"]
        ]


@contextlib.contextmanager
def running_prometheus(folder, targets):
    """One that scrapes ``targets`` (``host:port`` and path by job) every second, with the project's rules."""
    whole = yaml.safe_load((FOLDER / "prometheus.static.yml").read_text())
    whole["global"] = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "500ms"}
    whole["rule_files"] = [str(RULES / "*.yml")]
    whole["scrape_configs"] = [_aimed(job, targets) for job in whole["scrape_configs"] if job["job_name"] in targets]
    config = folder / "prometheus.yml"
    config.write_text(yaml.safe_dump(whole))
    log = folder / "prometheus.log"
    command = [
        "prometheus", f"--config.file={config}", f"--storage.tsdb.path={folder / 'data'}",
        "--web.listen-address=127.0.0.1:0",
    ]  # fmt: skip
    with log.open("w") as output:
        process = subprocess.Popen(command, stderr=output, preexec_fn=_die_with_parent)  # noqa: PLW1509 - as in stack
    try:
        wait_until(lambda: process.poll() is not None or "ready to receive web requests" in log.read_text())
        assert process.poll() is None, log.read_text()
        yield Prometheus(re.search(r"Listening on\" address=(\S+)", log.read_text())[1])
    finally:
        process.terminate()
        process.wait(30)


def _aimed(job, targets):
    address, path = targets[job["job_name"]]
    labels = {"job": "triton"} if job["job_name"] == "further" else {}
    kept = {key: value for key, value in job.items() if not key.endswith("_sd_configs")}
    return kept | {"metrics_path": path, "static_configs": [{"targets": [address], "labels": labels}]}


@contextlib.contextmanager
def exposed_pages(folder: Path):
    """The address of a server that has every ``NAME.prom`` of ``folder`` as ``/NAME``, its counters growing.

    With every scrape a counter has gone up by what stands on the page.
    """
    served = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            name = self.path.strip("/")
            served[name] = served.get(name, 0) + 1
            body = _grown((folder / f"{name}.prom").read_text(), served[name]).encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _grown(page, times):
    gauges = set(re.findall(r"# TYPE (\S+) gauge", page))

    def grow(line):
        head, _, value = line.rpartition(" ")
        return line if line.startswith("#") or head.partition("{")[0] in gauges else f"{head} {float(value) * times}"

    return "\n".join(map(grow, page.splitlines())) + "\n"
