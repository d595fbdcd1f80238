"""The section ``routing``: what is refused, and with which key."""

import re
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from gateway.config.file import ConfigError, dump_config, load_config
from gateway.config.settings import GatewayConfig

BACKENDS = {
    "a": {"kind": "oip", "url": "http://127.0.0.1:9"},
    "b": {"kind": "oip", "url": "http://127.0.0.1:9", "models": ["m"]},
    "c": {"kind": "oip", "url": "http://127.0.0.1:9", "models": ["other"]},
}
LABELS = {"m": {"stable": 1, "canary": "2"}}
RULE = {"when": {"headers": {"x-a": "1"}}, "then": {"version": 1}}


def configured(**section):
    return GatewayConfig.model_validate({"backends": BACKENDS, "labels": LABELS, "routing": {"m": section}})


def when(headers):
    return {"rules": [{**RULE, "when": {"headers": headers}}]}


def test_without_it_nothing_is_routed():
    assert GatewayConfig.model_validate({"backends": BACKENDS}).routing == {}


def test_what_is_plain_is_exact_and_reads_as_text():
    parameters = {"text": "x", "number": 3, "share": 0.5, "flag": True, "long": {"exact": "y"}}
    when = configured(rules=[{**RULE, "when": {"parameters": parameters}}]).routing["m"].rules[0].when
    assert {name: test.exact for name, test in when.parameters.items()} == {
        "text": "x",
        "number": "3",
        "share": "0.5",
        "flag": "true",
        "long": "y",
    }


def test_headers_are_in_lower_case_and_versions_are_text():
    section = configured(rules=[{**RULE, "when": {"headers": {"X-Team": "r"}}}], versions={1: 9, "canary": 1}).routing[
        "m"
    ]
    assert [*section.rules[0].when.headers] == ["x-team"]
    assert section.rules[0].then.version == "1"
    assert section.versions == {"1": 9, "canary": 1}


def test_it_is_dumped_and_read_back(tmp_path):
    rules = [
        {
            "when": {"headers": {"x-a": {"prefix": "p"}}, "parameters": {"p": True}},
            "then": {"label": "stable", "backend": "b"},
        }
    ]
    config = configured(policy="weighted", weights={"a": 0, "b": 2}, versions={2: 5}, rules=rules)
    path = tmp_path / "gateway.yaml"
    path.write_text(dump_config(config))
    assert load_config(path, {}) == config


@pytest.mark.parametrize(
    ("section", "key", "reason"),
    [
        ({"policy": "random"}, "policy", "'weighted' or 'fastest_within_slo'"),
        ({"polcy": "fixed"}, "polcy", "not permitted"),
        ({"policy": "weighted", "weights": {"a": -1}}, "weights.a", "greater than or equal to 0"),
        ({"policy": "weighted", "weights": {"a": 0, "b": 0}}, "weights", "the sum of the weights is zero"),
        ({"policy": "weighted", "weights": {"a": float("nan")}}, "weights.a", "finite"),
        ({"policy": "weighted", "weights": {"a": 1e300}}, "weights.a", "less than or equal to 1000000"),
        ({"policy": "weighted", "weights": {"../x": 1}}, "weights.../x.[key]", "a name of letters"),
        ({"versions": {"1": -5}}, "versions.1", "greater than or equal to 0"),
        ({"versions": {1: 0}}, "versions", "the sum of the weights is zero"),
        ({"versions": {1: "many"}}, "versions.1", "valid number"),
        ({"policy": "fixed", "order": ["a", "a"]}, "order", "a backend is in it twice"),
        ({"policy": "fastest_within_slo", "slo": 0}, "slo", "greater than 0"),
        ({"policy": "fastest_within_slo", "slo": float("inf")}, "slo", "finite"),
        ({"policy": "fixed"}, "", "policy fixed needs order"),
        ({"policy": "weighted"}, "", "policy weighted needs weights"),
        ({"policy": "fastest_within_slo"}, "", "policy fastest_within_slo needs slo"),
        ({"order": ["a"]}, "", "order is of use to policy fixed alone"),
        ({"policy": "fixed", "order": ["a"], "weights": {"a": 1}}, "", "weights is of use to policy weighted alone"),
        ({"slo": 1}, "", "slo is of use to policy fastest_within_slo alone"),
        ({"rules": [{"then": {"version": 1}}]}, "rules.0.when", "required"),
        ({"rules": [{**RULE, "when": {}}]}, "rules.0.when", "headers or parameters are expected"),
        ({"rules": [{**RULE, "when": {"cookies": {}}}]}, "rules.0.when.cookies", "not permitted"),
        ({"rules": [RULE, {**RULE, "then": {}}]}, "rules.1.then", "version, label or backend is expected"),
        ({"rules": [{**RULE, "then": {"version": 1, "label": "stable"}}]}, "rules.0.then", "exclude each other"),
        (when({"x a": "1"}), "rules.0.when.headers.x a.[key]", "the name of a header is expected"),
        (when({"x": {}}), "rules.0.when.headers.x", "one of exact, prefix, regex and present is expected"),
        (when({"x": {"exact": "1", "prefix": "1"}}), "rules.0.when.headers.x", "one of exact, prefix, regex"),
        (when({"x": {"regex": "("}}), "rules.0.when.headers.x.regex", "missing )"),
        (when({"x": ["1"]}), "rules.0.when.headers.x", "valid dictionary"),
    ],
)  # fmt: skip
def test_bad_values_are_refused_with_their_key(section, key, reason):
    with pytest.raises(ValidationError, match=re.escape(reason)) as caught:
        configured(**section)
    (error,) = caught.value.errors()
    assert ".".join(map(str, error["loc"])) == ("routing.m." + key).removesuffix(".")


@pytest.mark.parametrize(
    ("section", "problem"),
    [
        ({"policy": "fixed", "order": ["a", "q"]}, "routing.m.order.1: no backend is called 'q'; there are: a, b, c"),
        ({"policy": "weighted", "weights": {"q": 1}}, "routing.m.weights.q: no backend is called 'q'"),
        ({"policy": "weighted", "weights": {"c": 1}}, "routing.m.weights.c: backend 'c' does not serve 'm'"),
        ({"rules": [{**RULE, "then": {"backend": "q"}}]}, "routing.m.rules.0.then.backend: no backend is called 'q'"),
        ({"versions": {1: 1, "beta": 1}}, "routing.m.versions.beta: no version has the label 'beta'; labels.m has: "),
        ({"rules": [{**RULE, "then": {"label": "beta"}}]}, "routing.m.rules.0.then.label: no version has the label"),
        ({"policy": "weighted", "weights": {"a": -1}}, "routing.m.weights.a: Input should be greater than or "),
    ],
)  # fmt: skip
def test_what_is_not_there_is_named_with_the_file_and_the_key(tmp_path, section, problem):
    path = tmp_path / "gateway.yaml"
    path.write_text(dump_config(GatewayConfig.model_validate({"backends": BACKENDS, "labels": LABELS})))
    document = {**yaml.safe_load(path.read_text()), "routing": {"m": section}}
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    with pytest.raises(ConfigError) as caught:
        load_config(path, {})
    assert str(caught.value).startswith(f"{path}: {problem}")


def test_the_example_of_the_page_is_a_configuration():
    page = (Path(__file__).parents[2] / "docs" / "routing.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    backends = dict.fromkeys(("onnxruntime", "tensorflow"), BACKENDS["a"])
    section = GatewayConfig.model_validate({**yaml.safe_load(example), "backends": backends}).routing["digits-mlp"]
    assert (section.policy, len(section.rules)) == ("fixed", 2)


def test_a_label_of_another_model_does_not_count():
    with pytest.raises(ValidationError, match=r"labels\.other has: none"):
        GatewayConfig.model_validate(
            {"backends": BACKENDS, "labels": LABELS, "routing": {"other": {"versions": {"canary": 1}}}}
        )
