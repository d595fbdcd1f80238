"""One change of the configuration: all of it or nothing, one after the other."""

import asyncio
import threading

import pytest
from prometheus_client import CollectorRegistry
from support.looped import looped

from gateway.config.file import ConfigError
from gateway.config.settings import GatewayConfig
from gateway.core.errors import Conflict, GatewayError, InvalidRequest
from gateway.reload.live import LiveConfig
from gateway.telemetry.reload_metrics import ReloadMetrics

OIP = {"kind": "oip", "url": "http://user:secret@127.0.0.1:9000"}


def config(**changes):
    return GatewayConfig.model_validate({"backends": {"o": OIP}, **changes})


class Gateway:
    """What obeys; ``file`` is what is read, or an exception."""

    def __init__(self, **options):
        self.file, self.problem, self.failure = config(), None, None
        self.obeyed, self.checked = [], []
        self.registry = CollectorRegistry()
        metrics = ReloadMetrics(self.registry)
        self.live = LiveConfig(config(), read=self.read, check=self.check, apply=self.apply, metrics=metrics, **options)

    def read(self):
        if isinstance(self.file, Exception):
            raise self.file
        return self.file

    def check(self, settings):
        self.checked.append(settings)
        if self.problem:
            raise ConfigError(self.problem)

    def apply(self, settings):
        if self.failure:
            raise self.failure
        self.obeyed.append(settings)

    def value(self, name, **labels):
        return self.registry.get_sample_value(f"gateway_config_{name}", labels)

    def counts(self):
        names = ("applied", "refused", "unchanged")
        triggers = ("api", "file", "patch", "signal")
        found = {(t, o): self.value("reloads_total", trigger=t, outcome=o) for t in triggers for o in names}
        return {key: count for key, count in found.items() if count}


@looped
async def test_a_patch_is_checked_obeyed_shown_and_told():
    gateway = Gateway()
    number = gateway.value("hash")
    assert await gateway.live.patch({"retries": {"attempts": 5}}) == {"retries.attempts": (3, 5)}
    assert gateway.obeyed == gateway.checked == [config(retries={"attempts": 5})]
    assert gateway.live.shown()["retries"]["attempts"] == 5
    assert gateway.counts() == {("patch", "applied"): 1}
    assert gateway.value("hash") not in (number, 0)


@looped
async def test_a_reload_takes_back_what_was_patched():
    gateway = Gateway()
    number = gateway.value("hash")
    await gateway.live.patch({"retries": {"attempts": 5}})
    assert await gateway.live.reload("signal") == {"retries.attempts": (5, 3)}
    assert gateway.obeyed[-1] == config()
    assert gateway.value("hash") == number


@looped
async def test_without_a_difference_nothing_is_done():
    gateway = Gateway()
    assert await gateway.live.reload("file") == {}
    assert (gateway.obeyed, gateway.checked) == ([], [])
    assert gateway.counts() == {("file", "unchanged"): 1}


@pytest.mark.parametrize(
    ("patch", "error", "message"),
    [
        ({"retries": {"attempts": 0}}, InvalidRequest, "retries.attempts: "),
        ({"retries": {"attempts": 2}, "http": {"port": 1}}, Conflict, "http.port: needs a restart"),
        ({"http": {"port": 1}, "name": "x"}, Conflict, "name: needs a restart; http.port: needs a restart"),
        ({"backends": {"p": OIP}}, Conflict, "backends.p: needs a restart"),
        ([1], InvalidRequest, "the patch: an object of settings is expected"),
        (None, InvalidRequest, "the patch: an object of settings is expected"),
    ],
)
def test_what_is_wrong_is_refused_whole_and_by_key(patch, error, message):
    @looped
    async def scenario():
        gateway = Gateway()
        with pytest.raises(error) as refused:
            await gateway.live.patch(patch)
        assert refused.value.message.startswith(message)
        assert (gateway.obeyed, gateway.live.shown()["retries"]["attempts"]) == ([], 3)
        assert gateway.counts() == {("patch", "refused"): 1}
        assert gateway.value("last_reload_successful") == 1  # of the file, which is well

    scenario()


@pytest.mark.parametrize("file", [ConfigError("gateway.yaml: retries: bad"), config(name="x")])
def test_a_file_that_is_refused_leaves_the_old_one_until_it_is_mended(file):
    @looped
    async def scenario():
        gateway = Gateway()
        gateway.file = file
        with pytest.raises((InvalidRequest, Conflict)):
            await gateway.live.reload("file")
        assert (gateway.obeyed, gateway.value("last_reload_successful")) == ([], 0)
        gateway.file = config()
        await gateway.live.reload("file")
        assert gateway.value("last_reload_successful") == 1
        assert gateway.counts() == {("file", "refused"): 1, ("file", "unchanged"): 1}

    scenario()


@looped
async def test_what_does_not_fit_the_store_is_refused():
    gateway = Gateway()
    gateway.problem = "labels.m.stable: version '9' is not served"
    with pytest.raises(InvalidRequest, match=r"labels\.m\.stable"):
        await gateway.live.patch({"labels": {"m": {"stable": "9"}}})
    assert gateway.obeyed == []


@looped
async def test_a_failure_of_ours_changes_nothing_and_is_counted():
    gateway = Gateway()
    gateway.failure = ValueError("a bug")
    with pytest.raises(GatewayError, match="the log of the gateway says why"):
        await gateway.live.patch({"retries": {"attempts": 5}})
    assert gateway.live.shown()["retries"]["attempts"] == 3
    assert gateway.counts() == {("patch", "refused"): 1}


@looped
async def test_a_dry_run_says_the_same_and_does_nothing():
    gateway = Gateway()
    assert await gateway.live.patch({"default_timeout": 5}, dry_run=True) == {"default_timeout": (60.0, 5.0)}
    with pytest.raises(Conflict):
        await gateway.live.patch({"name": "x"}, dry_run=True)
    gateway.file = config(default_timeout=7)
    assert await gateway.live.reload("api", dry_run=True) == {"default_timeout": (60.0, 7.0)}
    assert (gateway.obeyed, gateway.counts()) == ([], {})
    assert len(gateway.checked) == 2


@looped
async def test_changes_come_one_after_the_other_and_none_is_lost():
    gateway = Gateway()
    patches = [{"labels": {f"m{number}": {"stable": "1"}}} for number in range(20)]
    await asyncio.gather(*(gateway.live.patch(patch) for patch in patches))
    assert len(gateway.obeyed[-1].labels) == 20


@looped
async def test_who_gives_up_while_it_is_checked_changes_nothing():
    gateway, go = Gateway(), threading.Event()
    gateway.check = lambda settings: go.wait(5)
    gateway.live._check = gateway.check
    asking = asyncio.create_task(gateway.live.patch({"default_timeout": 5}))
    await asyncio.sleep(0.01)
    asking.cancel()
    go.set()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert gateway.obeyed == []
    assert await gateway.live.patch({"default_timeout": 6}) == {"default_timeout": (60.0, 6.0)}


@looped
async def test_one_of_several_workers_changes_only_by_what_it_is_told():
    gateway = Gateway(patches_refused="with several workers, no")
    with pytest.raises(Conflict, match="with several workers, no"):
        await gateway.live.patch({"default_timeout": 5})
    await gateway.live.obey(config(default_timeout=5))
    assert gateway.obeyed == [config(default_timeout=5)]
    with pytest.raises(ConfigError, match="name: needs a restart"):
        await gateway.live.obey(config(name="x"))


def test_secrets_are_not_shown():
    gateway = Gateway()
    assert gateway.live.shown()["backends"]["o"]["url"] == "http://***@127.0.0.1:9000"
    assert "secret" not in str(gateway.live.shown())
