"""What TensorFlow Serving's doors make of names, versions and states that the other protocols bring along."""

from types import SimpleNamespace

import pytest

from gateway.codecs.tfs_model_spec import ModelQuery
from gateway.codecs.tfs_status import AVAILABLE, END, LOADING, UNLOADING, VersionStatus
from gateway.core import errors
from gateway.core.catalog import Catalog, ServedModel
from gateway.core.datatypes import Datatype
from gateway.core.errors import ModelNotFound, Unavailable
from gateway.core.lifecycle import Lifecycle
from gateway.core.repository import ModelEntry, ModelState
from gateway.core.signatures import Signature, TensorSpec
from gateway.frontends.http_door import lookup
from gateway.frontends.tfserving.http import TFServingDoor
from gateway.frontends.tfserving.models import SignatureNotFound, signature_called, statuses, wire_name


def signature(name):
    return Signature((TensorSpec(name, Datatype.FP32, (-1,)),), ())


def model(version="1", **changes):
    return ServedModel("m", version, "", signature("x"), 0, (), (), **changes)


def test_a_model_without_names_has_the_usual_one():
    unnamed = model()
    for name in ("", "serving_default"):
        assert signature_called(unnamed, name) == ("serving_default", unnamed.signature)
    assert wire_name(unnamed, "serving_default") == ""
    with pytest.raises(SignatureNotFound, match=r'key "no" not found.*serving_default'):
        signature_called(unnamed, "no")


def test_a_model_with_names_is_called_by_them():
    named = model(signatures={"a": signature("y"), "b": signature("x")})
    assert signature_called(named, "a") == ("a", signature("y"))
    # Without serving_default, whoever names none gets the model's own default.
    assert signature_called(named, "") == ("b", named.signature)
    assert wire_name(named, "b") == "b"
    with pytest.raises(SignatureNotFound):
        signature_called(named, "serving_default")


def server(*entries, served=("1",), stopping=False):
    catalog = Catalog([model(version) for version in served])
    index = [ModelEntry("m", version, state, "why") for version, state in entries]
    repository, lifecycle = SimpleNamespace(index=lambda: index), Lifecycle(started=True, draining=stopping)
    return SimpleNamespace(catalog=catalog, repository=repository, lifecycle=lifecycle)


@pytest.mark.parametrize(
    ("state", "served", "wanted"),
    [
        (ModelState.READY, True, VersionStatus(1, AVAILABLE)),
        (ModelState.LOADING, True, VersionStatus(1, LOADING, "why")),
        (ModelState.UNLOADING, True, VersionStatus(1, UNLOADING)),
        (ModelState.UNAVAILABLE, True, VersionStatus(1, LOADING, "why")),
        (ModelState.UNAVAILABLE, False, VersionStatus(1, END)),
    ],
)
def test_states_in_tensorflow_servings_words(state, served, wanted):
    known = server(("1", state), served=("1",) if served else ())
    assert statuses(known, ModelQuery("m")) == [wanted]


def test_a_server_that_is_being_stopped_unloads_what_it_has():
    known = server(("1", ModelState.READY), ("2", ModelState.LOADING), stopping=True)
    assert statuses(known, ModelQuery("m")) == [VersionStatus(1, UNLOADING), VersionStatus(2, LOADING, "why")]


def test_a_version_that_is_no_number_has_none():
    known = server(("1", ModelState.READY), ("v2", ModelState.READY))
    assert statuses(known, ModelQuery("m")) == [VersionStatus(1, AVAILABLE), VersionStatus(0, AVAILABLE)]


def test_what_is_not_known_is_told_apart():
    with pytest.raises(ModelNotFound, match="Could not find version 7 of model m"):
        statuses(server(("1", ModelState.READY)), ModelQuery("m", "7"))
    nameless = server(("", ModelState.UNAVAILABLE), served=())
    with pytest.raises(ModelNotFound, match="Could not find any versions of model m"):
        statuses(nameless, ModelQuery("m"))
    nameless.catalog.expect("m", "not yet")
    with pytest.raises(Unavailable, match="not yet"):
        statuses(nameless, ModelQuery("m"))


@pytest.mark.parametrize(
    ("error", "status"),
    [(errors.Overloaded, 429), (errors.Unavailable, 503), (errors.Conflict, 409), (errors.Unsupported, 501)],
)
def test_errors_have_tensorflow_servings_statuses(error, status):
    assert lookup(TFServingDoor.statuses, error("why")) == status
