"""What the supervisor tells of a service, from the states of its containers."""

import pytest

from gateway.runtime.docker.container import ContainerState
from gateway.runtime.docker.plan import ContainerPlan
from gateway.runtime.docker.server import ContainerServer
from gateway.runtime.server import ServerState


@pytest.fixture
def service():
    plan = ContainerPlan("alpha", "p-alpha-1", "image:1", {}, ["p"], 1.0, 1.0, {"kind": "oip"})
    server = ContainerServer(plan, None)
    server.state = ServerState.READY
    server.told = []
    server.changed = lambda one, news: server.told.append((one.state, news))
    return server


def state(status, health="healthy", ended="", restarts=0):
    return ContainerState(status, health, ended, complaint="", restarts=restarts, exit_code=0)


def test_a_container_that_died_is_told_once_and_so_is_its_return(service):
    died = "killed because it was out of memory: it needs more than its limit of 64 MiB"
    for states in (
        [state("restarting", ended=died)],
        [state("running", "starting", restarts=1)],
        [state("running", restarts=1)],
        [state("running", restarts=1)],
    ):
        service._note(states)
    assert service.told == [(ServerState.RESTARTING, died), (ServerState.READY, "ready again")]
    assert service.entry() == {
        "server": "image:1",
        "state": "ready",
        "restarts": 1,
        "kind": "oip",
    }


def test_one_ready_replica_is_enough(service):
    service._note([state("restarting", ended="exit code 1"), state("running")])
    assert service.told == []


def test_what_somebody_else_stopped_is_not_called_a_failure(service):
    service._note([state("exited", "", "exit code 0")])
    assert service.told == [(ServerState.STOPPED, "stopped from elsewhere: exit code 0")]


def test_containers_that_are_gone_are_missed(service):
    service._note([])
    assert service.told == [(ServerState.RESTARTING, "its container is gone")]
