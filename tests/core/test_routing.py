"""What rules and weights make of a request that leaves open where it goes."""

from collections import Counter

import pytest
from support.services import request

from gateway.core.backend import Endpoint
from gateway.core.catalog import Catalog, ServedModel
from gateway.core.messages import RequestContext
from gateway.core.routing import (
    LONGEST_MATCHED,
    ROUTE_KEY,
    ModelRouting,
    Rule,
    begins_with,
    equals,
    is_there,
    matches,
)
from gateway.core.signatures import Signature
from gateway.core.split import Split

LABELS = {"stable": "1", "canary": "2"}


def served(version, *, healthy=True):
    endpoint = Endpoint("b", "m", version)
    if healthy:
        endpoint.mark_healthy()
    return ServedModel("m", version, "", Signature((), ()), 0, (), (endpoint,))


def catalog(*models):
    return Catalog(models or (served("1"), served("2")), {"m": LABELS})


def said(headers=None, *, backend="", **changes):
    return request(context=RequestContext("test", headers=headers, backend=backend), **changes)


def applied(routing, message, models=None):
    by = routing.apply(message, models or catalog())
    return by, message.version or message.label, message.context.backend


def split(**weights):
    return Split("m", {name.removeprefix("v"): weight for name, weight in weights.items()})


@pytest.mark.parametrize(
    ("test", "fits", "fits_not"),
    [
        (equals("gold"), ["gold"], ["golden", "Gold", "", None]),
        (equals(""), [""], ["x", None]),
        (begins_with("go"), ["go", "gold"], ["ago", "", None]),
        (matches("v[12]"), ["v1", "v2"], ["v3", "v12", "xv1", "v1\n", "", None]),
        (matches("x*"), ["", "x" * LONGEST_MATCHED], ["x" * (LONGEST_MATCHED + 1), None]),
        (is_there(True), ["", "x"], [None]),
        (is_there(False), [None], ["", "x"]),
    ],
)
def test_tests_of_texts(test, fits, fits_not):
    assert [test(text) for text in fits + fits_not] == [True] * len(fits) + [False] * len(fits_not)


@pytest.mark.parametrize("headers", [{b"x-team": b"research"}, {"x-team": "research"}])
def test_a_header_is_found_over_http_and_over_grpc(headers):
    routing = ModelRouting([Rule(headers=[("x-team", equals("research"))], version="1")])
    assert applied(routing, said(headers)) == ("rules.0", "1", "")
    assert applied(routing, said({b"x-team": b"sales"})) == ("", "", "")
    assert applied(routing, said(None)) == ("", "", "")


@pytest.mark.parametrize(
    ("value", "text"), [("gold", "gold"), (True, "true"), (False, "false"), (3, "3"), (0.5, "0.5"), ("3", "3")]
)
def test_a_parameter_is_compared_as_text(value, text):
    routing = ModelRouting([Rule(parameters=[("tier", equals(text))], label="canary")])
    assert applied(routing, said(parameters={"tier": value})) == ("rules.0", "canary", "")
    assert applied(routing, said(parameters={"tier": "else"})) == ("", "", "")


def test_all_tests_of_a_rule_have_to_be_passed_and_the_first_rule_decides():
    both = [("x-a", equals("1")), ("x-b", equals("1"))]
    routing = ModelRouting(
        [
            Rule(headers=both, parameters=[("p", is_there(True))], version="2"),
            Rule(headers=both[:1], backend="slow"),
            Rule(headers=[("x-a", is_there(True))], version="1"),
        ]
    )
    headers = {"x-a": "1", "x-b": "1"}
    assert applied(routing, said(headers, parameters={"p": 1})) == ("rules.0", "2", "")
    assert applied(routing, said(headers)) == ("rules.1", "", "slow")
    assert applied(routing, said({"x-a": "2"})) == ("rules.2", "1", "")


def test_what_the_client_names_stays():
    routing = ModelRouting([Rule(headers=[("x-a", is_there(True))], version="2", backend="theirs")], split(v2=1))
    assert applied(routing, said({"x-a": ""}, version="1")) == ("rules.0", "1", "theirs")
    assert applied(routing, said({"x-a": ""}, label="stable")) == ("rules.0", "stable", "theirs")
    assert applied(routing, said({"x-a": ""}, backend="mine")) == ("rules.0", "2", "mine")
    assert applied(routing, said(version="1")) == ("", "1", "")
    assert applied(routing, said(label="stable")) == ("", "stable", "")


def test_a_rule_for_a_backend_leaves_the_version_to_the_weights():
    routing = ModelRouting([Rule(headers=[("x-a", is_there(True))], backend="b")], split(v1=1))
    assert applied(routing, said({"x-a": ""})) == ("rules.0", "1", "b")


def test_weights_are_of_versions_and_of_labels_and_stick_to_a_key():
    for routing in (ModelRouting(split=split(v1=3, v2=1)), ModelRouting(split=split(stable=3, canary=1))):
        models = catalog()
        found = {
            key: Counter(applied(routing, said({ROUTE_KEY: key}), models)[:2] for _ in range(3)) for key in "abcdefghij"
        }
        assert all(len(counts) == 1 for counts in found.values())
        without = Counter(applied(routing, said(), models)[:2] for _ in range(100))
        assert without[("versions", "1")] == pytest.approx(75, abs=2)
        assert without.total() == sum(without[("versions", version)] for version in "12")


def test_a_version_that_cannot_answer_leaves_its_share_to_the_others():
    routing = ModelRouting(split=split(v1=1, v2=99))
    for models in (catalog(served("1"), served("2", healthy=False)), catalog(served("1"), served("3"))):
        assert {applied(routing, said(), models) for _ in range(20)} == {("versions", "1", "")}


def test_when_none_can_answer_the_weights_still_hold():
    models = catalog(served("1", healthy=False), served("2", healthy=False))
    routing = ModelRouting(split=split(v1=99, v2=1))
    assert Counter(applied(routing, said(), models)[1] for _ in range(50))["1"] >= 48


@pytest.mark.parametrize("names", [{"v7": 1}, {"lost": 1}])
def test_without_any_of_them_the_catalog_decides(names):
    assert applied(ModelRouting(split=split(**names)), said())[1] == ""
    assert applied(ModelRouting(split=split(**names)), said(model="unknown"))[1] == ""
