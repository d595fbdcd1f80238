"""What every test shares: the built models, and an honest list of what this machine could not run."""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import settings
from support.browser import find_browser
from support.docker_engine import engine_answers
from support.perf_analyzer import find_perf_analyzer

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read at the import of onnxruntime

# A slow machine is no failure; the examples decide.
settings.register_profile("default", deadline=None)
settings.load_profile("default")

REPOSITORY = Path(__file__).parent.parent


def _has_gpu():
    if importlib.util.find_spec("torch") is None:
        return False
    import torch

    return torch.cuda.is_available()


def _has_prometheus():
    return shutil.which("prometheus") is not None and shutil.which("promtool") is not None


# Marker → what is missing, and how to find out whether it is there.
REQUIREMENTS = {
    "needs_gpu": ("a CUDA device", _has_gpu),
    "needs_perf_analyzer": ("perf_analyzer on the search path or in $PERF_ANALYZER", find_perf_analyzer),
    "needs_docker": ("a Docker engine that answers", engine_answers),
    "needs_promtool": ("prometheus and promtool on the search path", _has_prometheus),
    "needs_kubectl": ("kubectl on the search path", lambda: shutil.which("kubectl") is not None),
    "needs_browser": ("Chromium or Chrome on the search path", find_browser),
}
_not_run = {}


def pytest_collection_modifyitems(items):
    # Last, because the containers run until the end of the session, and would slow all tests after theirs down.
    items.sort(key=lambda item: REPOSITORY / "tests" / "docker" in item.path.parents)
    for marker, (what, is_there) in REQUIREMENTS.items():
        marked = [item for item in items if item.get_closest_marker(marker)]
        if marked and not is_there():
            for item in marked:
                item.add_marker(pytest.mark.skip(reason=f"needs {what}"))
                _not_run[item.nodeid] = what


def pytest_terminal_summary(terminalreporter):
    if _not_run:
        terminalreporter.section("not run on this machine")
        for test, what in _not_run.items():
            terminalreporter.write_line(f"{test}: needs {what}")


@pytest.fixture(scope="session")
def model_store_root():
    """The store with every model that ships; building is a no-op when it is up to date."""
    subprocess.run(
        [sys.executable, "-m", "model_store.cli", "build", "--all", "--jobs", "2", "--store", ".models"],
        cwd=REPOSITORY,
        check=True,
    )
    return REPOSITORY / ".models"
