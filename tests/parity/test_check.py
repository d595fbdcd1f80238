"""One server held against a model's own samples, over every protocol that a server may speak."""

import numpy as np
import pytest
from support.gateways import ENGINE, running, settings
from support.looped import looped
from support.scaled_store import add_sample, save_scaled

from gateway.config.backends import OIPBackend, TFServingBackend
from gateway.connect import connect
from gateway.core.errors import GatewayError
from gateway.parity.check import check_sample
from model_store.parity.served import judge
from model_store.store import ModelStore

SAMPLE = "ones-and-twos"


@pytest.fixture
def stored(tmp_path):
    add_sample(save_scaled(tmp_path, 2), 2)
    return ModelStore(tmp_path).get("scaled")


def servers(addresses):
    return {
        "oip-http": OIPBackend(kind="oip", url=f"http://{addresses['http']}"),
        "oip-grpc": OIPBackend(kind="oip", protocol="grpc", grpc=addresses["grpc"]),
        "tfserving-grpc": TFServingBackend(kind="tfserving", grpc=addresses["grpc"]),
        "tfserving-rest": TFServingBackend(kind="tfserving", protocol="rest", url=f"http://{addresses['http']}"),
    }


@pytest.mark.parametrize("protocol", ["oip-http", "oip-grpc", "tfserving-grpc", "tfserving-rest"])
@pytest.mark.parametrize(("served", "difference"), [(2, 0), (3, 2)])
@looped
async def test_a_server_is_judged_by_what_the_source_answered(tmp_path, stored, protocol, served, difference):
    store = save_scaled(tmp_path / "served", served)
    async with running(settings(store, {"engine": ENGINE})) as (_, addresses):
        backend = connect("other", servers(addresses)[protocol], max_body=1 << 20)
        try:
            verdict = await check_sample(backend, stored, SAMPLE, timeout=10)
        finally:
            await backend.close()
    assert (verdict.max_abs, verdict.passed, verdict.sample) == (difference, difference == 0, SAMPLE)


@looped
async def test_a_server_without_the_version_gives_no_verdict(tmp_path, stored):
    store = save_scaled(tmp_path / "served", 2, version="7")
    async with running(settings(store, {"engine": ENGINE})) as (_, addresses):
        backend = connect("other", servers(addresses)["oip-http"], max_body=1 << 20)
        with pytest.raises(GatewayError):
            await check_sample(backend, stored, SAMPLE, timeout=10)
        await backend.close()


def test_only_samples_with_kept_answers_can_be_checked(tmp_path, stored):
    assert stored.answered_samples() == [SAMPLE]
    (stored.directory / "reference" / f"sample-{SAMPLE}.npz").unlink()
    assert stored.answered_samples() == []


def test_an_answer_of_another_form_is_infinitely_wrong(stored):
    expected = stored.answer(SAMPLE)
    found = judge(stored.manifest, SAMPLE, expected, {"y": np.zeros((1, 3), np.float32)})
    assert found.max_abs == float("inf")
    assert "[1, 3]" in found.reason
