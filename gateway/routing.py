"""The routing of single models as filters need it, by the configuration."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.config.routing import RoutingConfig, RuleConfig, TextTest
from gateway.config.settings import GatewayConfig
from gateway.core.routing import ModelRouting, Rule, Test, begins_with, equals, is_there, matches
from gateway.core.split import Split
from gateway.filters.policies import Cheapest, FastestWithinSLO, Fixed, Policy, Weighted, least_loaded, peak_ewma


def model_routing(settings: GatewayConfig) -> Mapping[str, ModelRouting]:
    """Rules and weights of versions, of the models that have some."""
    return {
        model: ModelRouting([_rule(rule) for rule in section.rules], _split(model, section.versions))
        for model, section in settings.routing.items()
        if section.rules or section.versions
    }


def balancing_policy(settings: GatewayConfig, model: str) -> Policy:
    """A new policy for one version of ``model``: its own, else that of all models."""
    balancing, section = settings.balancing, settings.routing.get(model, RoutingConfig())
    policy = section.policy or balancing.policy
    if policy == "fixed":
        return Fixed(section.order)
    if policy == "weighted":
        return Weighted(Split(model, section.weights))
    if policy == "fastest_within_slo" and section.slo is not None:
        return FastestWithinSLO(section.slo, balancing.slow_start)
    return Cheapest(least_loaded if policy == "least_loaded" else peak_ewma, balancing.slow_start)


def _split(model: str, versions: Mapping[str, float]) -> Split | None:
    return Split(model, versions) if versions else None


def _rule(rule: RuleConfig) -> Rule:
    when, then = rule.when, rule.then
    return Rule(
        headers=[(name, _test(test)) for name, test in when.headers.items()],
        parameters=[(name, _test(test)) for name, test in when.parameters.items()],
        version=then.version or "",
        label=then.label or "",
        backend=then.backend or "",
    )


def _test(test: TextTest) -> Test:
    if test.prefix is not None:
        return begins_with(test.prefix)
    if test.regex is not None:
        return matches(test.regex)
    if test.present is not None:
        return is_there(test.present)
    return equals(test.exact or "")
