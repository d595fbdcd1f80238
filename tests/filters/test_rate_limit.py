import asyncio

import pytest
from support.services import Recording, request

from gateway.core.clients import Clients
from gateway.core.errors import RateLimited
from gateway.core.messages import RequestContext
from gateway.core.rate_limits import Rate, RateLimits
from gateway.filters.rate_limit import RateLimit


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def ask(service, client):
    headers = {b"x-api-key": client.encode()}
    return asyncio.run(service(request(context=RequestContext("test", headers=headers))))


def test_a_client_over_its_rate_is_refused_and_told_when_to_come_back():
    clock, inner = Clock(), Recording()
    service = RateLimit(inner, Clients("x-api-key", {}), RateLimits(Rate(2, 1), {}, 10), clock)
    ask(service, "secret")
    with pytest.raises(RateLimited, match=r"in 0\.500 s it may ask again") as told:
        ask(service, "secret")
    assert told.value.retry_after == pytest.approx(0.5)
    assert "secret" not in str(told.value)
    ask(service, "another")
    clock.now += 0.5
    ask(service, "secret")
    assert len(inner.requests) == 3
