"""The settings of shadows and comparisons, and what is refused with its key."""

import re
from pathlib import Path

import pytest

from gateway.config.file import ConfigError, dump_config, load_config
from gateway.config.shadowing import CompareConfig

BACKENDS = """
backends:
  a: {kind: oip, url: 'http://127.0.0.1:9000'}
  b: {kind: oip, url: 'http://127.0.0.1:9001', models: [m, n]}
labels: {m: {next: 2, now: 1}}
"""


@pytest.fixture
def load(tmp_path):
    def load(text, rest=BACKENDS):
        (tmp_path / "gateway.yaml").write_text(text + "\n" + rest)
        return load_config(tmp_path / "gateway.yaml", {})

    return load


def test_nothing_is_copied_by_default(load):
    settings = load("")
    assert (settings.shadow, settings.compare) == ({}, {})


def test_a_share_and_a_target_are_enough(load, tmp_path):
    settings = load("shadow: {m: {share: 0.1, backend: b}}\ncompare: {m: {}}")
    shadow, compare = settings.shadow["m"], settings.compare["m"]
    assert (shadow.share, shadow.backend, shadow.version, shadow.label) == (0.1, "b", None, None)
    assert (shadow.timeout, shadow.concurrent, shadow.busy, shadow.samples) == (5, 16, 64, 16)
    assert shadow.tolerance is None
    assert compare.share == 0
    (tmp_path / "again.yaml").write_text(dump_config(settings))
    assert load_config(tmp_path / "again.yaml", {}) == settings


@pytest.mark.parametrize(
    "text",
    [
        "shadow: {m: {share: 1, version: 2}}",
        "shadow: {m: {share: 0, label: next}}",
        "shadow: {m: {share: 1, version: '2', backend: b}}",
        "shadow: {m/1: {share: 1, version: 1, backend: b}}",
        "shadow: {m/1: {share: 1, version: 2}, m/2: {share: 1, version: 3}}",
        "shadow: {m: {share: 1, version: 2}, m/2: {share: 1, backend: a}}",
        "shadow: {other: {share: 1, version: 2}}",
        "shadow: {m: {share: 1, backend: a, tolerance: {abs: 0}}}",
    ],
)
def test_what_makes_sense_is_taken(load, text):
    load(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("shadow: {m: {share: -0.1, backend: b}}", r"shadow\.m\.share: .* \(got -0\.1\)"),
        ("shadow: {m: {share: 1.1, backend: b}}", r"shadow\.m\.share: "),
        ("shadow: {m: {share: .nan, backend: b}}", r"shadow\.m\.share: "),
        ("shadow: {m: {backend: b}}", r"shadow\.m\.share: "),
        ("shadow: {m: {share: 0.1}}", r"shadow\.m: a target is needed"),
        ("shadow: {m: {share: 0.1, version: 1, label: next}}", r"shadow\.m: version and label"),
        (
            "shadow: {m: {share: 0.1, backend: c}}",
            r"shadow\.m\.backend: no backend 'c' serves 'm'; those that do: a, b",
        ),
        ("shadow: {x: {share: 0.1, backend: b}}", r"shadow\.x\.backend: no backend 'b' serves 'x'; those that do: a$"),
        ("shadow: {m: {share: 0.1, label: old}}", r"shadow\.m\.label: .*'old'; labels: next, now"),
        ("shadow: {m: {share: 0.1, backend: b, timeout: 0}}", r"shadow\.m\.timeout"),
        ("shadow: {m: {share: 0.1, backend: b, concurrent: 0}}", r"shadow\.m\.concurrent"),
        ("shadow: {m: {share: 0.1, backend: b, samples: 100000}}", r"shadow\.m\.samples"),
        ("shadow: {m: {share: 0.1, backend: b, tolerance: {abs: -1}}}", r"shadow\.m\.tolerance\.abs"),
        ("shadow: {m: {share: 0.1, backend: b, tolerance: {rel: .inf}}}", r"shadow\.m\.tolerance\.rel"),
        ("shadow: {m: {share: 0.1, backend: b, percent: 3}}", r"shadow\.m\.percent: unknown key"),
        ("compare: {m: {share: 2}}", r"compare\.m\.share"),
        ("compare: {x: {}}", r"compare\.x: there is nothing to compare: a serves it"),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_key(load, text, message):
    with pytest.raises(ConfigError, match=message):
        load(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("shadow: {x: {share: 1, backend: a}}", r"shadow\.x\.backend: the model would be a shadow of itself"),
        ("shadow: {x: {share: 1, backend: a}, m: {share: 1, backend: a}}", r"shadow\.x\.backend: the model would be"),
        ("shadow: {x/2: {share: 1, backend: a}}", r"shadow\.x/2\.backend: the model would be a shadow of itself"),
        ("shadow: {m/2: {share: 1, version: 2}}", r"shadow\.m/2\.version: the model would be a shadow of itself"),
        ("shadow: {m/2: {share: 1, label: next}}", r"shadow\.m/2\.label: the model would be a shadow of itself"),
        ("shadow: {x/2: {share: 1, version: 2, backend: a}}", r"shadow\.x/2\.backend: the model would be a shadow of"),
        (
            "shadow: {m/1: {share: 1, version: 2}, m/2: {share: 1, version: 1}}",
            r"shadow\.m/1: versions of 'm' would be shadows of each other: 1 → 2 → 1",
        ),
        ("shadow: {m: {share: 1, version: 2}, m/2: {share: 1, label: now}}", r"shadow\.m: .*: 2 → 1 → 2"),
        (
            "shadow: {m/1: {share: 1, version: 2}, m/2: {share: 1, version: 3}, m/3: {share: 1, version: 1}}",
            r"shadow\.m/1: .*: 1 → 2 → 3 → 1",
        ),
        (
            "shadow: {m/1: {share: 1, version: 2}, m/2: {share: 1, version: 3}, m/3: {share: 1, version: 2}}",
            r"shadow\.m/1: .*: 2 → 3 → 2",
        ),
    ],
)
def test_a_loop_is_refused_with_its_key(load, text, message):
    with pytest.raises(ConfigError, match=message):
        load(text)


@pytest.mark.parametrize("number", [0, 1])
def test_the_examples_of_the_page_are_taken(load, number):
    page = (Path(__file__).parents[2] / "docs" / "shadowing.md").read_text(encoding="utf-8")
    examples = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    assert len(examples) == 2
    settings = load(examples[number], BACKENDS.partition("labels")[0].replace(", models: [m, n]", ""))
    (section,) = (settings.shadow or settings.compare).values()
    assert section.share in (0.05, 0.01)


def test_the_page_tells_the_defaults():
    page = (Path(__file__).parents[2] / "docs" / "shadowing.md").read_text(encoding="utf-8")
    told = dict(re.findall(r"^\| `(samples|timeout|concurrent|busy)` \| (\d+) \|", page, re.MULTILINE))
    assert {name: float(text) for name, text in told.items()} == {
        name: CompareConfig.model_fields[name].default for name in ("samples", "timeout", "concurrent", "busy")
    }
