"""Shadows are held against the versions that the model store has."""

import pytest
from support.gateways import settings
from support.scaled_store import save_scaled

from gateway.config.file import ConfigError
from gateway.core.datatypes import Datatype
from gateway.repository.shadow_targets import check_shadows
from gateway.repository.shadowing import allowed_between_servers
from gateway.repository.stored import ServedVersions
from model_store.parity.tolerance import Tolerance
from model_store.store import ModelStore

BACKENDS = {name: {"kind": "oip", "url": f"http://127.0.0.1:{port}"} for name, port in (("a", 9), ("b", 10))}
BOTH = ["scaled/1", "scaled/2"]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    store = tmp_path_factory.mktemp("store")
    return save_scaled(save_scaled(store, 2), 3, version="2")


def held(configuration, store):
    check_shadows(configuration, ServedVersions(configuration, ModelStore(store)))


def check(store, shadow, models=BOTH):
    labels = {"scaled": {"next": "2", "gone": "9"}}
    held(settings(store, BACKENDS, models=models, shadow=shadow, labels=labels), store)


@pytest.mark.parametrize(
    "shadow",
    [
        {},
        {"scaled": {"share": 0.1, "version": "2"}},
        {"scaled/1": {"share": 0.1, "label": "next"}},
        {"scaled": {"share": 0.1, "backend": "b"}},
        {"only-a-backend-knows": {"share": 0.1, "version": "7"}},
    ],
)
def test_what_is_there_can_be_a_target(store, shadow):
    check(store, shadow)


@pytest.mark.parametrize(
    ("shadow", "models", "message"),
    [
        ({"version": "9"}, BOTH, r"^shadow\.scaled\.version: version '9' is not served; models serves: 1, 2$"),
        ({"version": "1"}, ["scaled"], r"^shadow\.scaled\.version: version '1' is not served; models serves: 2$"),
        ({"label": "gone"}, BOTH, r"^shadow\.scaled\.label: version '9' is not served"),
        ({"version": "2"}, ["scaled"], r"^shadow\.scaled\.version: the model would be a shadow of itself"),
    ],
)
def test_what_is_not_there_is_refused_with_its_key(store, shadow, models, message):
    with pytest.raises(ConfigError, match=message):
        check(store, {"scaled": {"share": 0.1, **shadow}}, models)


def test_the_version_that_has_the_shadow_must_be_there_too(store):
    with pytest.raises(ConfigError, match=r"^shadow\.scaled/7: version '7' is not served"):
        check(store, {"scaled/7": {"share": 0.1, "version": "2"}})


def test_two_servers_may_be_twice_as_far_apart_as_one_and_the_source():
    allowed = allowed_between_servers(Tolerance(absolute=0.1))
    assert allowed(Datatype.FP32, 5.0) == 0.2
    assert allowed(Datatype.INT32, 5.0) == 0


@pytest.mark.parametrize(
    "section", [{"shadow": {"scaled": {"share": 0.1, "backend": "b"}}}, {"compare": {"scaled": {}}}]
)
def test_a_backend_that_is_left_out_later_is_missed(store, section):
    configuration = settings(store, BACKENDS, models=BOTH, **section)
    held(configuration, store)
    alone = configuration.model_copy(update={"backends": {"a": configuration.backends["a"]}})
    with pytest.raises(ConfigError, match=r"^(shadow\.scaled\.backend|compare\.scaled): "):
        held(alone, store)
