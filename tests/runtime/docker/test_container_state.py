"""What the engine tells of a container, in our words."""

import pytest

from gateway.runtime.docker.container import parse_state


def inspected(memory=0, restarts=0, **state):
    defaults = {"Status": "exited", "ExitCode": 0, "OOMKilled": False, "Error": ""}
    return {"State": defaults | state, "HostConfig": {"Memory": memory}, "RestartCount": restarts}


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (inspected(ExitCode=3), "exit code 3"),
        (inspected(ExitCode=143), "killed by SIGTERM"),
        (inspected(ExitCode=250), "exit code 250"),
        (inspected(ExitCode=127, Error='exec: "gateway": not found'), 'exec: "gateway": not found'),
        (
            inspected(ExitCode=137, OOMKilled=True, memory=64 * 2**20),
            "killed because it was out of memory: it needs more than its limit of 64 MiB",
        ),
        (inspected(Status="running"), ""),
        (inspected(Status="created"), ""),
    ],
)
def test_how_it_ended(told, expected):
    assert parse_state(told).ended == expected


@pytest.mark.parametrize(("health", "ready"), [("starting", False), ("healthy", True), ("unhealthy", False)])
def test_a_running_container_is_ready_once_it_is_healthy(health, ready):
    assert parse_state(inspected(Status="running", Health={"Status": health, "Log": []})).ready is ready


def test_a_container_without_a_health_check_is_ready_as_soon_as_it_runs():
    assert parse_state(inspected(Status="running")).ready
    assert parse_state(inspected(Status="running", Health={"Status": "none"})).ready
    assert not parse_state(inspected(Status="restarting")).ready


def test_what_the_last_health_check_said_counts_while_it_fails():
    failed, passed = {"ExitCode": 1, "Output": "error: no\n inference\n"}, {"ExitCode": 0, "Output": "fine"}
    assert (
        parse_state(inspected(Health={"Status": "starting", "Log": [passed, failed]})).complaint
        == "error: no inference"
    )
    assert parse_state(inspected(Health={"Status": "healthy", "Log": [failed, passed]})).complaint == ""
