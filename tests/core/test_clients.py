from gateway.core.clients import Clients, kept_name
from gateway.core.messages import RequestContext


def named(text, header="x-gateway-client"):
    return Clients(header, {}).name(RequestContext("test", headers={header.encode(): text}))


def test_a_client_is_what_its_header_says():
    assert named(b"alice") == "alice"
    assert named(b"key", "x-api-key") == "key"


def test_all_that_say_nothing_are_one():
    assert named(b"") == Clients("other", {}).name(RequestContext("test")) == ""


def test_a_long_name_takes_little_memory_and_is_still_its_own():
    first, second = named(b"t" * 5000 + b"1"), named(b"t" * 5000 + b"2")
    assert first != second
    assert len(first) == len(second) == 64
    assert kept_name("t" * 5000 + "1") == first


def test_weights():
    clients = Clients("h", {"heavy": 3})
    assert (clients.weight("heavy"), clients.weight("other")) == (3, 1)
