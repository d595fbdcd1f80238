"""The settings of where the requests for single models go: versions, rules, and a policy of their own."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, PositiveFloat, model_validator

from gateway.config.patterns import Pattern
from gateway.config.values import BackendName, Section, Version


def _as_test(value: Any) -> Any:
    """A plain value, which is short for ``{exact: value}``, as YAML reads it and as the gateway compares it."""
    if isinstance(value, bool):
        return {"exact": str(value).lower()}
    return {"exact": str(value)} if isinstance(value, str | int | float) else value


def _header(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_.-]{1,128}", value):
        raise ValueError("the name of a header is expected")
    return value.lower()


def _some_weight(value: dict[str, float]) -> dict[str, float]:
    if value and not math.fsum(value.values()):
        raise ValueError("the sum of the weights is zero")
    return value


def _distinct(value: list[str]) -> list[str]:
    if len(set(value)) < len(value):
        raise ValueError("a backend is in it twice")
    return value


Weight = Annotated[float, Field(ge=0, le=1_000_000, allow_inf_nan=False)]


class TextTest(Section):
    """What a header or a parameter must be: one of these. ``regex`` has to match all of it."""

    exact: str | None = None
    prefix: str | None = None
    regex: Pattern | None = None
    present: bool | None = None

    @model_validator(mode="after")
    def _is_one(self) -> TextTest:
        if len(self.model_dump(exclude_none=True)) != 1:
            raise ValueError("one of exact, prefix, regex and present is expected")
        return self


Test = Annotated[TextTest, BeforeValidator(_as_test)]


class RuleCondition(Section):
    """All of these tests, of headers (over gRPC: metadata) and of the request's parameters, have to be passed."""

    headers: dict[Annotated[str, AfterValidator(_header)], Test] = {}
    parameters: dict[str, Test] = {}

    @model_validator(mode="after")
    def _tests_something(self) -> RuleCondition:
        if not self.headers and not self.parameters:
            raise ValueError("headers or parameters are expected")
        return self


class RuleTarget(Section):
    """Where the request goes, as if the client had named it: a version or a label, a backend, or both."""

    version: Version | None = None
    label: str | None = None
    backend: BackendName | None = None

    @model_validator(mode="after")
    def _is_one_place(self) -> RuleTarget:
        if not (self.version or self.label or self.backend):
            raise ValueError("version, label or backend is expected")
        if self.version and self.label:
            raise ValueError("version and label exclude each other")
        return self


class RuleConfig(Section):
    """One rule; the first whose ``when`` is true decides."""

    when: RuleCondition
    then: RuleTarget


class RoutingConfig(Section):
    """Where the requests for one model go.

    ``policy`` decides among its backends that are well, and is that of ``balancing`` where it is not set: ``fixed``
    takes the first of ``order``, ``weighted`` goes by ``weights``, ``fastest_within_slo`` keeps to those whose latency
    is expected within ``slo`` seconds. Of requests that name no version, ``rules`` decide, and then ``versions``:
    weights by version, or by label.
    """

    policy: Literal["peak_ewma", "least_loaded", "fixed", "weighted", "fastest_within_slo"] | None = None
    order: Annotated[list[BackendName], AfterValidator(_distinct)] = []
    weights: Annotated[dict[BackendName, Weight], AfterValidator(_some_weight)] = {}
    slo: Annotated[PositiveFloat, Field(allow_inf_nan=False)] | None = None
    versions: Annotated[dict[Version, Weight], AfterValidator(_some_weight)] = {}
    rules: list[RuleConfig] = []

    @model_validator(mode="after")
    def _policy_has_its_settings(self) -> RoutingConfig:
        for policy, key in (("fixed", "order"), ("weighted", "weights"), ("fastest_within_slo", "slo")):
            there = bool(getattr(self, key))
            if there is not (self.policy == policy):
                raise ValueError(
                    f"policy {policy} needs {key}" if not there else f"{key} is of use to policy {policy} alone"
                )
        return self

    def named_backends(self) -> Iterator[tuple[str, str]]:
        """Every backend that is named, after its key below this section."""
        yield from ((f"order.{place}", backend) for place, backend in enumerate(self.order))
        yield from ((f"weights.{backend}", backend) for backend in self.weights)
        for number, rule in enumerate(self.rules):
            if rule.then.backend:
                yield f"rules.{number}.then.backend", rule.then.backend

    def named_versions(self) -> Iterator[tuple[str, str]]:
        """Every version that is named, after its key; so too the labels, which are no numbers."""
        yield from ((f"versions.{name}", name) for name in self.versions)
        for number, rule in enumerate(self.rules):
            if rule.then.version:
                yield f"rules.{number}.then.version", rule.then.version
            if rule.then.label:
                yield f"rules.{number}.then.label", rule.then.label


def unknown_backend(routing: Mapping[str, RoutingConfig], backends: Mapping[str, list[str] | None]) -> str:
    """The first backend that is named in ``routing`` and does not serve the model, in words; empty: there is none.

    ``backends`` holds the models that each backend is limited to; None means all.
    """
    for model, section in routing.items():
        for key, name in section.named_backends():
            path = f"routing.{model}.{key}"
            if name not in backends:
                return f"{path}: no backend is called {name!r}; there are: {', '.join(backends)}"
            models = backends[name]
            if models is not None and model not in models:
                return f"{path}: backend {name!r} does not serve {model!r}; backends.{name}.models: {', '.join(models)}"
    return ""
