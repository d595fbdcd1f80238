"""What a gateway process does otherwise when it is one of several."""

import asyncio

import pytest

from gateway.core.errors import Unsupported
from gateway.core.repository import ModelEntry, ModelState
from gateway.frontends.authorization import Authorization, Caller
from gateway.repository import FixedRepository


@pytest.mark.parametrize("caller", [Caller("127.0.0.1"), Caller("10.0.0.1", "Bearer secret"), Caller("")])
def test_nobody_administers_it_on_the_data_ports(caller):
    with pytest.raises(Unsupported, match="the other port"):
        Authorization("secret", loopback=True, refusal="it is the other port's").require_admin(caller)


def test_the_admin_port_is_as_ever():
    Authorization("secret", refusal="it is the other port's").with_loopback().require_admin(Caller("127.0.0.1"))


class Models:
    def index(self):
        return [ModelEntry("m", "1", ModelState.READY)]


def test_its_models_stay_as_they_are():
    repository = FixedRepository(Models())
    assert repository.index() == Models().index()
    for change in (repository.load("m"), repository.load("m", max_batch_size=2), repository.unload("m")):
        with pytest.raises(Unsupported, match="model 'm': with several workers"):
            asyncio.run(change)
