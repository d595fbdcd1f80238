"""The file of a gateway in a container: its own, with what changes in that of the whole stack."""

import asyncio

import pytest
import yaml
from support.logged import logged
from support.looped import looped

from gateway.config.file import ConfigError, dump_config
from gateway.config.retries import HedgingConfig
from gateway.config.settings import GatewayConfig
from gateway.core.errors import Conflict
from gateway.reload.file import ConfigFile
from gateway.reload.stack_file import StackFile, of_stack

DOCUMENT = {
    "http": {"port": 0},
    "backends": {"o": {"kind": "oip", "url": "http://127.0.0.1:0", "launch": {}}},
    "labels": {"m": {"stable": "1", "new": "2"}},
}


class Container:
    def __init__(self, folder):
        self.stack, self.own = folder / "stack.yaml", folder / "gateway.yaml"
        self.write()
        resolved = ConfigFile(self.stack, {}).load().model_dump(mode="json")
        resolved["http"]["port"] = 4711
        resolved["backends"]["o"] |= {"url": "http://127.0.0.1:4712", "models": ["m"]}
        self.write_own(resolved)
        self.resolved = ConfigFile(self.own, {}).load().model_dump(mode="json")
        self.environ = {}
        self.file = StackFile(self.own, self.environ, self.stack)

    def write(self, **changes):
        self.stack.write_text(yaml.safe_dump({**DOCUMENT, **changes}))

    def write_own(self, document):
        self.own.write_text(dump_config(GatewayConfig.model_validate(document)))

    def loaded(self):
        return self.file.load().model_dump(mode="json")


@pytest.fixture
def container(tmp_path):
    return Container(tmp_path)


def test_what_changes_in_the_stack_is_read_and_what_was_resolved_stays(container):
    before = container.own.read_bytes()
    assert container.loaded() == container.resolved
    backends = {"o": {**DOCUMENT["backends"]["o"], "batching": None}}
    container.write(labels={"m": {"stable": "2"}, "n": {"a": "1"}}, cache={"ttl": 5}, backends=backends)
    wanted = {**container.resolved, "labels": {"m": {"stable": "2"}, "n": {"a": "1"}}}
    wanted["cache"] = {"bytes": 256 * 2**20, "ttl": 5, "models": None}
    wanted["backends"] = {"o": {**container.resolved["backends"]["o"], "batching": None}}
    assert container.loaded() == wanted
    container.write()
    assert container.loaded() == container.resolved
    assert container.own.read_bytes() == before  # to read changes nothing: it may be a dry run


def test_what_is_wrong_or_cannot_change_is_refused_until_it_is_mended(container):
    container.write(retries={"attempts": 0})
    with pytest.raises(ConfigError, match=r"stack\.yaml: retries\.attempts: "):
        container.loaded()
    container.write(http={"port": 1}, cache={})
    with pytest.raises(Conflict, match=r"^http\.port: needs a restart$"):
        container.loaded()
    container.write(cache={})
    assert container.loaded()["cache"]["ttl"] is None


def test_a_change_made_to_the_gateways_own_file_is_kept(container):
    container.write(cache={})
    container.write_own({**container.resolved, "default_timeout": 7.0})
    assert (container.loaded()["default_timeout"], container.loaded()["cache"]["ttl"]) == (7.0, None)


def test_a_section_that_the_gateways_own_file_has_not_comes_whole_when_the_stacks_changes(tmp_path):
    (tmp_path / "stack.yaml").write_text(yaml.safe_dump({**DOCUMENT, "hedging": {"percentile": 0.9, "budget": 0.1}}))
    (tmp_path / "gateway.yaml").write_text(yaml.safe_dump({**DOCUMENT, "hedging": None}))
    file = StackFile(tmp_path / "gateway.yaml", {}, tmp_path / "stack.yaml")
    assert file.load().hedging is None
    (tmp_path / "stack.yaml").write_text(yaml.safe_dump({**DOCUMENT, "hedging": {"percentile": 0.8, "budget": 0.1}}))
    assert file.load().hedging == HedgingConfig(percentile=0.8, budget=0.1)


def test_a_variable_holds_until_its_key_changes_in_the_stack(container):
    container.environ["GATEWAY_RETRIES__ATTEMPTS"] = "7"
    container.write(cache={})
    assert container.loaded()["retries"]["attempts"] == 7
    container.write(retries={"attempts": 2})
    assert container.loaded()["retries"]["attempts"] == 2


@looped
async def test_a_change_of_either_file_is_seen(container):
    changed = asyncio.Event()

    async def note():
        changed.set()

    watching = asyncio.create_task(container.file.watch(note, interval=0.01))
    for change in (lambda: container.write(cache={}), lambda: container.write_own(container.resolved | {"cache": {}})):
        change()
        async with asyncio.timeout(10):
            await changed.wait()
        changed.clear()
    watching.cancel()


def test_a_gateway_serves_even_where_its_stack_cannot_be_followed(container, monkeypatch):
    container.stack.write_text("backends: 3")
    with logged(monkeypatch, "gateway.reload.stack_file") as lines:
        file = of_stack(container.stack, container.own, {})
        (line,) = lines()
    assert "stack.yaml: backends" in line["problem"]
    assert type(file) is ConfigFile
    assert file.load().model_dump(mode="json") == container.resolved
    container.write()
    assert type(of_stack(container.stack, container.own, {})) is StackFile
