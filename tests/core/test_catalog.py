import pytest

from gateway.core.backend import Endpoint
from gateway.core.catalog import Catalog, ServedModel
from gateway.core.errors import InvalidRequest, ModelNotFound, Unavailable
from gateway.core.signatures import Signature

NOTHING = Signature((), ())


def model(name="m", version="1", **changes):
    return ServedModel(name, version, "", NOTHING, 0, (), (), **changes)


def versions(catalog, name="m"):
    return [each.version for each in catalog.versions(name)]


def test_versions_are_in_the_order_of_their_numbers_whenever_they_come():
    catalog = Catalog([model(version="10"), model(version="9")], {"m": {"stable": "9"}})
    catalog.add(model(version="100"))
    assert versions(catalog) == ["9", "10", "100"]
    assert catalog.get("m").version == "100"
    assert catalog.get("m", label="stable").version == "9"
    with pytest.raises(ModelNotFound, match="no version labelled 'new'"):
        catalog.get("m", label="new")


def test_a_version_is_replaced_by_one_of_the_same_name():
    catalog = Catalog([model()])
    newer = model()
    catalog.add(newer)
    assert catalog.get("m") is newer
    assert catalog.find("m", "1") is newer
    assert catalog.find("m", "2") is None


def test_one_version_or_all_of_them_are_taken_out():
    catalog = Catalog([model(version="1"), model(version="2"), model("other")])
    catalog.remove("m", "2")
    assert versions(catalog) == ["1"]
    catalog.remove("m", "7")
    catalog.remove("m", "1")
    with pytest.raises(ModelNotFound, match="unknown model 'm'; served: other"):
        catalog.get("m")
    catalog.add(model(version="3"))
    catalog.remove("m")
    catalog.remove("never there")
    assert [each.name for each in catalog] == ["other"]


def test_a_model_that_is_waited_for_is_unavailable_and_not_unknown():
    catalog = Catalog()
    catalog.expect("m", "its server is down")
    with pytest.raises(Unavailable, match="'m' cannot be served yet: its server is down"):
        catalog.get("m")
    catalog.add(model())
    assert catalog.expected == {}
    catalog.expect("n", "why")
    catalog.remove("n")
    assert catalog.expected == {}


def test_a_model_is_ready_while_a_healthy_backend_can_carry_it():
    first, second = Endpoint("a", "m"), Endpoint("b", "m")
    served = ServedModel("m", "1", "", NOTHING, 0, (), (first, second))
    assert not served.ready
    first.mark_healthy()
    first.refusal = "FP16"
    assert not served.ready
    second.mark_healthy()
    assert served.ready


def test_what_describes_a_model_must_do_so_again_after_it_was_down():
    endpoint = Endpoint("a", "m", learned=True)
    endpoint.mark_healthy()
    assert endpoint.healthy
    endpoint.mark_down("gone")
    endpoint.mark_healthy()
    assert (endpoint.healthy, endpoint.problem) == (False, "it came back and has not described the model yet")
    endpoint.stale = False
    endpoint.mark_healthy()
    assert endpoint.healthy


def test_named_signatures():
    named = model(signatures={"serving_default": NOTHING})
    assert named.signature_called("") is named.signature_called("serving_default") is NOTHING
    with pytest.raises(InvalidRequest, match=r"no signature 'q'; it has \['serving_default'\]"):
        named.signature_called("q")


def test_only_what_is_certain_is_told_before_the_request_is_read():
    catalog = Catalog([model(version="1"), model(version="2"), model("other")])
    assert catalog.only("other", "").version == "1"
    assert catalog.only("m", "") is None
    assert catalog.only("m", "2").version == "2"
    assert catalog.only("m", "3") is None
    assert catalog.only("unknown", "") is None


def test_it_is_guarded_as_long_as_its_models_have_gates():
    catalog = Catalog([model()])
    assert not catalog.guarded
    catalog.add(model(gate=object()))
    assert catalog.guarded
    catalog.add(model())
    assert not catalog.guarded
