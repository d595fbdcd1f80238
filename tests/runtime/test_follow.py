"""The file of ``gateway up`` and the file of the gateway that it runs."""

import pytest
import yaml

from gateway.config.file import dump_config, load_config
from gateway.config.settings import GatewayConfig
from gateway.reload.file import ConfigFile
from gateway.runtime.follow import Following

DOCUMENT = {
    "http": {"port": 0},
    "backends": {"o": {"kind": "oip", "url": "http://127.0.0.1:0", "launch": {}}},
    "labels": {"m": {"stable": "1", "new": "2"}},
}


class Stack:
    def __init__(self, folder):
        self.path, self.target = folder / "mine.yaml", folder / "gateway.yaml"
        self.write()
        self.file = ConfigFile(self.path, {})
        self.settings = self.file.load()
        resolved = self.settings.model_dump(mode="json")
        resolved["http"]["port"] = 4711
        resolved["backends"]["o"] |= {"url": "http://127.0.0.1:4712", "models": ["m"]}
        self.target.write_text(dump_config(GatewayConfig.model_validate(resolved)))
        self.resolved = load_config(self.target, {}).model_dump(mode="json")
        self.following = Following(self.file, self.file.load, self.settings)

    def write(self, **changes):
        self.path.write_text(yaml.safe_dump({**DOCUMENT, **changes}))

    def hand_on(self):
        return self.following.hand_on(self.target)

    def found(self):
        return load_config(self.target, {}).model_dump(mode="json")


@pytest.fixture
def stack(tmp_path):
    return Stack(tmp_path)


def test_what_changes_is_handed_on_and_what_was_resolved_stays(stack):
    backends = {"o": {**DOCUMENT["backends"]["o"], "batching": None}}
    stack.write(labels={"m": {"stable": "2"}, "n": {"a": "1"}}, cache={"ttl": 5}, backends=backends)
    said, _, keys = stack.hand_on().rpartition(": ")
    assert said == "configuration handed on to the gateway"
    assert set(keys.split(", ")) == {"backends.o.batching", "cache", "labels.m.stable", "labels.m.new", "labels.n"}
    wanted = stack.resolved
    wanted["labels"] = {"m": {"stable": "2"}, "n": {"a": "1"}}
    wanted["cache"] = {"bytes": 256 * 2**20, "ttl": 5, "models": None}
    wanted["backends"]["o"]["batching"] = None
    assert stack.found() == wanted
    assert stack.hand_on() == "configuration unchanged"
    stack.write()
    stack.hand_on()
    assert stack.found()["labels"] == DOCUMENT["labels"]
    assert [path.name for path in sorted(stack.path.parent.iterdir())] == ["gateway.yaml", "mine.yaml"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"http": {"port": 1}, "cache": {}}, "configuration not changed: http.port: needs a restart"),
        ({"retries": {"attempts": 0}}, "configuration not changed: {path}: retries.attempts: "),
    ],
)
def test_what_cannot_change_is_said_and_nothing_is_written(stack, changes, said):
    stack.write(**changes)
    assert stack.hand_on().startswith(said.format(path=stack.path))
    assert stack.found() == stack.resolved


def test_who_may_read_the_file_stays_the_same(stack):
    stack.target.chmod(0o604)
    stack.write(cache={})
    stack.hand_on()
    assert stack.target.stat().st_mode & 0o777 == 0o604


def test_a_change_made_to_the_gateways_own_file_is_kept(stack):
    own = stack.resolved | {"default_timeout": 7.0}
    stack.target.write_text(dump_config(GatewayConfig.model_validate(own)))
    stack.write(cache={})
    stack.hand_on()
    assert (stack.found()["default_timeout"], stack.found()["cache"]["ttl"]) == (7.0, None)
