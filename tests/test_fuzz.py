"""A short run of what ``make fuzz`` runs for as long as it is given."""

import grpc
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from support.background import in_background
from support.fuzzing import codec_targets, port_targets
from support.gateways import ENGINE, settings
from support.tiny_store import make_store

CODECS = codec_targets()
PORTS = ["HTTP port: operations", "HTTP port: bytes", "gRPC port: messages", "gRPC port: frames"]


def shoot(target, examples):
    """Aim at ``target``; what became of the examples."""
    outcomes = set()

    @hypothesis_settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
    @given(target.strategy)
    def once(drawn):
        outcomes.add(target.aim(drawn))

    once()
    return outcomes


@pytest.mark.parametrize("target", CODECS, ids=[target.name for target in CODECS])
def test_a_codec_refuses_or_reads(target):
    assert shoot(target, 100)


@pytest.fixture(scope="module")
def ports(tmp_path_factory):
    store = make_store(tmp_path_factory.mktemp("store"))
    limits = {"body_bytes": 1_000_000, "head_seconds": 2, "body_seconds": 2}
    with in_background(settings(store, {"engine": ENGINE}, limits=limits)) as addresses:
        with grpc.insecure_channel(addresses["grpc"]) as channel:
            yield {target.name: target for target in port_targets(addresses["http"], addresses["grpc"], channel)}


@pytest.mark.parametrize("name", PORTS)
def test_a_port_answers_or_closes(ports, name):
    assert len(shoot(ports[name], 100)) > 1
