"""What the fork in the stack tells of the requests that the configuration sent somewhere."""

import asyncio
import time

import pytest
from support.services import Recording, request

from gateway.core.backend import Endpoint
from gateway.core.catalog import Catalog, ServedModel
from gateway.core.errors import BackendError, DeadlineExceeded, ModelNotFound
from gateway.core.messages import RequestContext
from gateway.core.routing import ModelRouting, Rule, equals
from gateway.core.signatures import Signature
from gateway.core.split import Split
from gateway.filters.deadline import Deadline
from gateway.filters.route import Route


class Recorder(list):
    def routed(self, *labels_and_duration):
        *labels, duration = labels_and_duration
        self.append(tuple(labels))
        assert duration >= 0.25


class Hanging:
    async def __call__(self, message):
        await asyncio.Event().wait()


def served(version, service):
    endpoint = Endpoint("b", "m", version)
    endpoint.mark_healthy()
    return ServedModel("m", version, "", Signature((), ()), 0, (), (endpoint,), service=service)


def asked(routing, *, answer=None, said="", **changes):
    """What is recorded of one request, and the version that it reached."""
    services = {version: Recording(*([answer] if answer else [])) for version in "12"}
    recorder = Recorder()
    route = Route(Catalog(served(*each) for each in services.items()), {"m": routing}, recorder)
    began = time.perf_counter() - 0.25  # so long ago the front door had it
    message = request(context=RequestContext("test", headers={"x-a": said} if said else None, started=began), **changes)
    try:
        asyncio.run(route(message))
    except (BackendError, asyncio.CancelledError):
        assert answer is not None
    return [*recorder], [version for version, service in services.items() if service.requests]


RULES = ModelRouting([Rule(headers=[("x-a", equals("1"))], version="1")])
CANARY = ModelRouting(split=Split("m", {"1": 1}))


@pytest.mark.parametrize(("routing", "said", "by"), [(RULES, "1", "rules.0"), (CANARY, "", "versions")])
@pytest.mark.parametrize(
    ("answer", "outcome"), [(None, "ok"), (BackendError("x"), "backend_error"), (asyncio.CancelledError(), "cancelled")]
)
def test_every_outcome_is_counted_with_its_version_and_who_decided(routing, said, by, answer, outcome):
    assert asked(routing, answer=answer, said=said) == ([("m", "1", by, outcome)], ["1"])


def test_a_version_that_does_not_answer_within_the_deadline_has_failed():
    recorder = Recorder()
    route = Route(Catalog([served("1", Hanging())]), {"m": CANARY}, recorder)
    message = request(context=RequestContext("test", timeout=0.3, started=time.perf_counter() - 0.25))
    with pytest.raises(DeadlineExceeded):
        asyncio.run(Deadline(route, default=60)(message))
    assert recorder == [("m", "1", "versions", "deadline_exceeded")]


def test_what_the_client_decides_is_not_counted():
    assert asked(CANARY, version="2") == ([], ["2"])
    assert asked(RULES, said="2") == ([], ["2"])  # the latest


def test_a_rule_for_a_version_that_is_gone_is_as_if_the_client_had_named_it():
    with pytest.raises(ModelNotFound, match="model 'm' has no version '3'; served: 1, 2"):
        asked(ModelRouting([Rule(headers=[("x-a", equals("1"))], version="3")]), said="1")
