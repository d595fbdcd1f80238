"""Balance passes over what cannot carry a request, and says why when nothing can."""

import asyncio

import numpy as np
import pytest
from support.services import Recording, request

from gateway.core.backend import Endpoint
from gateway.core.capabilities import EVERYTHING, Capabilities
from gateway.core.errors import NoHealthyBackend, PayloadTooLarge, Unsupported
from gateway.core.messages import RequestContext
from gateway.filters.balance import Balance
from gateway.filters.policies import Candidate, Cheapest, peak_ewma

SMALL = Capabilities(request_bytes=8)


class Carrier:
    def __init__(self, capabilities):
        self.capabilities = capabilities


def candidate(name, capabilities=EVERYTHING, *, refusal="", problem="", version=""):
    endpoint = Endpoint(name, "m", version)
    endpoint.mark_healthy()
    endpoint.refusal = refusal
    if problem:
        endpoint.mark_down(problem)
    return Candidate(endpoint, Carrier(capabilities), Recording())


def balanced(candidates):
    return Balance("m", candidates, Cheapest(peak_ewma, 10))


def ask(balance, rows=1, **context):
    message = request(array=np.zeros((rows, 2), np.float32), context=RequestContext("test", **context))
    asyncio.run(balance(message))
    return message


def test_a_backend_that_cannot_carry_the_model_is_never_chosen_and_the_others_share():
    balance = balanced([candidate("a", refusal="x is FP16: no"), candidate("b"), candidate("c")])
    chosen = [ask(balance).context.served_by for _ in range(12)]
    assert set(chosen) == {"b", "c"}


def test_a_request_over_one_backends_limit_goes_to_another():
    balance = balanced([candidate("a", SMALL), candidate("b")])
    assert {ask(balance).context.served_by for _ in range(4)} == {"a", "b"}
    assert {ask(balance, rows=2).context.served_by for _ in range(4)} == {"b"}


def test_the_reason_is_told_when_none_can():
    with pytest.raises(PayloadTooLarge, match=r"inputs: 16 bytes are over the 8 that backend 'a' takes"):
        ask(balanced([candidate("a", SMALL), candidate("b", SMALL)]), rows=2)
    with pytest.raises(Unsupported, match=r"backend 'a' cannot carry 'm': x is FP16: no"):
        ask(balanced([candidate("a", refusal="x is FP16: no")]))


def test_a_client_that_names_its_backend_gets_that_backends_refusal():
    balance = balanced([candidate("a", SMALL), candidate("b", refusal="y is BF16: no"), candidate("c")])
    with pytest.raises(PayloadTooLarge, match="backend 'a'"):
        ask(balance, rows=2, backend="a")
    with pytest.raises(Unsupported, match="y is BF16"):
        ask(balance, backend="b")


def test_it_may_work_later_when_the_one_that_can_is_down():
    balance = balanced([candidate("a", SMALL), candidate("b", problem="gone")])
    with pytest.raises(NoHealthyBackend, match=r"\(a: cannot carry it; b: gone\)"):
        ask(balance, rows=2)


def test_each_backend_is_asked_for_the_version_by_its_own_name():
    assert ask(balanced([candidate("a", version="v0.1")])).version == "v0.1"
