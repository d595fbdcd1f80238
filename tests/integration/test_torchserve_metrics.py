"""A real TorchServe exposes what the page that stands in for it elsewhere shows, and what the rules are made of."""

import json
import re
import urllib.request
from pathlib import Path

import pytest
from support.torchserve_server import make_archive, running_torchserve

pytestmark = pytest.mark.integration

PAGE = Path(__file__).parent.parent / "deploy" / "pages" / "torchserve.prom"
HANDLER = """
def handle(data, context):
    return ["ok"] * len(data) if data else None
"""
# What Prometheus sends: OpenMetrics would put _total behind the names of counters.
ACCEPT = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"


def _series(page):
    """Names with the names of their labels, of the counters that a request moves."""
    found = re.findall(r"^(ts_\w+)\{(.*)\} \S+$", page, re.MULTILINE)
    return {(name, *re.findall(r'(\w+)="', labels)) for name, labels in found}


def test_a_request_shows_as_on_the_recorded_page(tmp_path):
    make_archive(tmp_path, "tiny", HANDLER)
    with running_torchserve(tmp_path, ["tiny"], metrics_mode="prometheus", disable_system_metrics="true") as server:
        key = json.loads(server.key_file.read_text())["inference"]["key"]
        ask = urllib.request.Request(
            server.url("inference") + "/predictions/tiny", b"x", {"Authorization": f"Bearer {key}"}
        )
        urllib.request.urlopen(ask, timeout=30).close()
        scrape = urllib.request.Request(server.url("metrics") + "/metrics", headers={"Accept": ACCEPT})
        with urllib.request.urlopen(scrape, timeout=30) as answer:
            page = answer.read().decode()
    assert 'ts_inference_requests_total{model_name="tiny",' in page
    assert _series(page) == _series(PAGE.read_text())
