import pytest

from gateway.codecs.oip_parameters import take_schedule
from gateway.core.errors import InvalidRequest
from gateway.core.messages import RequestContext


def taken(**parameters):
    context = RequestContext("test")
    take_schedule(parameters, context)
    return context.priority, context.queue_timeout


def test_priority_and_timeout_go_into_the_context():
    assert taken(priority=2**64 - 1, timeout=2_500_000) == (2**64 - 1, 2.5)


def test_without_them_nothing_is_said():
    assert taken() == taken(other="x") == taken(priority=0, timeout=0) == (0, None)


@pytest.mark.parametrize("name", ["priority", "timeout"])
@pytest.mark.parametrize("value", [-1, 1.0, True, "1"])
def test_they_must_be_numbers(name, value):
    with pytest.raises(InvalidRequest, match=rf"parameters\.{name}: a number that is not negative is expected"):
        taken(**{name: value})


def test_reserved_names_are_refused():
    with pytest.raises(InvalidRequest, match=r"parameters\.triton_x: names that begin with triton_ are reserved"):
        taken(triton_x=1)
