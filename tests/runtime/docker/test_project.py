"""Stacks found by their labels among whatever else an engine holds."""

import pytest

from gateway.runtime.docker.project import COMPOSE_LABEL, PROJECT_LABEL, SERVICE_LABEL, find_project
from gateway.runtime.errors import RuntimeFailure


class Listed:
    """A container with these labels."""

    def __init__(self, **labels):
        self.labels = labels


class Listing:
    """An engine that can list its containers, by the engine's own rule: every label, and an empty value is any."""

    def __init__(self, *labels):
        self._containers = [Listed(**each) for each in labels]

    def containers(self, labels, service_label):
        return [
            one
            for one in self._containers
            if all(key in one.labels and value in ("", one.labels[key]) for key, value in labels.items())
        ]


OURS = {PROJECT_LABEL: "gateway-0a1b", SERVICE_LABEL: "gateway"}
COMPOSE = {COMPOSE_LABEL: "serving", SERVICE_LABEL: "gateway"}
FOREIGN = {COMPOSE_LABEL: "shop", "com.docker.compose.service": "gateway"}


def test_the_only_stack_needs_no_name():
    found = find_project(Listing(OURS, OURS | {SERVICE_LABEL: "onnxruntime"}, FOREIGN, {}))
    assert (found.name, found.label) == ("gateway-0a1b", PROJECT_LABEL)
    found = find_project(Listing(COMPOSE, FOREIGN))
    assert (found.name, found.label) == ("serving", COMPOSE_LABEL)


def test_one_of_several_is_chosen_by_its_name():
    engine = Listing(OURS, COMPOSE)
    assert find_project(engine, "serving").label == COMPOSE_LABEL
    with pytest.raises(RuntimeFailure, match=r"choose one with --project: gateway-0a1b, serving"):
        find_project(engine)


def test_a_stack_that_is_none_of_ours_is_never_found():
    with pytest.raises(RuntimeFailure, match=r"^no stack called 'shop' is here; start one with"):
        find_project(Listing(FOREIGN), "shop")
    with pytest.raises(RuntimeFailure, match=r"^no stack is here"):
        find_project(Listing(FOREIGN))
