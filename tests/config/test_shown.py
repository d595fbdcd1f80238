"""What is shown of a configuration has no secrets."""

from gateway.config.settings import GatewayConfig
from gateway.config.shown import Shown

NAMED = ("admission", "clients", "named")


def config(header="x-gateway-client"):
    clients = {"header": header, "named": {"s3cr3t": {"weight": 2}}}
    backend = {"kind": "oip", "url": "http://user:pass@h:1", "grpc": "h:2"}
    return GatewayConfig.model_validate({"backends": {"s3cr3t": backend}, "admission": {"clients": clients}})


def test_credentials_in_urls_are_left_out_and_nothing_else_is():
    settings = config()
    document = settings.model_dump(mode="json")
    shown = Shown(settings).value(document)
    assert shown["backends"]["s3cr3t"]["url"] == "http://***@h:1"
    document["backends"]["s3cr3t"]["url"] = "http://***@h:1"
    assert shown == document


def test_clients_are_not_named_by_what_may_be_a_token():
    open_, secret = config(), config("x-api-key")
    for shown in (Shown(secret), Shown(open_, secret), Shown(secret, open_)):
        document = shown.value(secret.model_dump(mode="json"))
        (name,) = document["admission"]["clients"]["named"]
        assert name.startswith("***")
        assert "s3cr3t" in document["backends"]
        assert shown.path((*NAMED, "s3cr3t", "weight")) == f"admission.clients.named.{name}.weight"
        assert list(shown.value({"s3cr3t": {}}, NAMED)) == [name]
    assert Shown(open_).path((*NAMED, "s3cr3t", "weight")) == "admission.clients.named.s3cr3t.weight"
