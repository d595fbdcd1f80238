import pytest

from gateway.core.criticality import Criticality, criticality_of
from gateway.core.errors import InvalidRequest
from gateway.core.messages import RequestContext


def said(text):
    return criticality_of(RequestContext("test", headers={b"x-gateway-priority": text.encode()}))


@pytest.mark.parametrize("text", ["critical", " Critical ", "CRITICAL"])
def test_what_the_client_says(text):
    assert said(text) is Criticality.CRITICAL


def test_of_metadata_too():
    context = RequestContext("test", headers={"x-gateway-priority": "sheddable"})
    assert criticality_of(context) is Criticality.SHEDDABLE


def test_who_says_nothing_is_like_most():
    assert criticality_of(RequestContext("test")) is Criticality.DEFAULT


@pytest.mark.parametrize("text", ["", "1", "high", "critical, sheddable", "x" * 5000])
def test_anything_else_is_refused_by_its_name(text):
    with pytest.raises(InvalidRequest, match=r"^x-gateway-priority: one of critical, default, sheddable is ex") as told:
        said(text)
    assert len(str(told.value)) < 200
