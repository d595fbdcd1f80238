"""Roll a model to the version that was built last, so that no request is lost, or put back what was there.

backends serve both versions → gateways send everything to the new one → backends serve the new one alone

While both are served, every gateway finds the version that it asks for on every replica, whichever that is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass

from gateway.runtime.docker.preparation import prepare
from gateway.runtime.docker.replace import Deployment, Replacement, replace
from gateway.runtime.docker.template import Change
from gateway.runtime.errors import RuntimeFailure

_VARIABLE = "GATEWAY_MODELS"  # what a server reads in place of the configuration's list of models
Served = Mapping[str, Mapping[str, Sequence[str]]]
Stored = Mapping[str, Mapping[str, Set[str]]]


@dataclass(slots=True, frozen=True)
class Roll:
    """One model from one version to another.

    Attributes:
        old, new: its versions as ``name/version``; several old ones where several are served.
        backends: that serve it.
        before, both, after: what their servers are told to serve: as it was, with the new version too, without the old.
    """

    model: str
    old: Sequence[str]
    new: str
    backends: Sequence[str]
    before: Change
    both: Change
    after: Change


def plan_roll(served: Served, stored: Stored, model: str, version: str = "") -> Roll:
    """How to get from what is served to the latest version of a model.

    Args:
        served: versions by backend by model.
        stored: what each version of each model was built for.
        model: its name.
        version: what the caller takes the latest version to be; empty leaves that to the store.

    Raises:
        RuntimeFailure: nobody serves the model, or the version is not built, not the latest, or not for all backends.
    """
    if model not in served:
        raise RuntimeFailure(f"{model}: nothing serves it; what is served: {', '.join(served) or 'nothing'}")
    built = stored.get(model, {})
    latest = max(built, key=int, default="")
    if version and version not in built:
        raise RuntimeFailure(f"{model}: version {version} is not in the store; it has {', '.join(built) or 'none'}")
    if not latest or version not in ("", latest):
        raise RuntimeFailure(
            f"{model}: version {version} is not the latest one, which is {latest or 'none'}; "
            f"remove that from the store, or list the versions to serve as `models` in the configuration"
        )
    versions = _versions(served[model])
    for one in versions:
        if missing := built.get(one, set()) - built[latest]:
            raise RuntimeFailure(f"{model}: version {latest} was not built for {', '.join(sorted(missing))}")
    others = {name: _versions(backends) for name, backends in served.items() if name != model}
    kept = [f"{name}/{one}" for name, ones in others.items() for one in ones]
    old, new = [f"{model}/{one}" for one in versions], f"{model}/{latest}"
    # Without a list of its own a server takes the latest of every model, after a restart as well.
    unpinned = all(ones == [max(stored.get(name, ones), key=int)] for name, ones in others.items())
    return Roll(
        model,
        old,
        new,
        [*served[model]],
        before=_told([*kept, *old]),
        both=_told([*kept, *old, new]),
        after=Change(environment={_VARIABLE: None}) if unpinned else _told([*kept, new]),
    )


def roll_model(deployment: Deployment, model: str, version: str = "") -> str:
    """Serve the latest version of ``model``; returns a sentence that says so.

    Raises:
        RuntimeFailure: as ``plan_roll``, or the new version failed, and what was served before is served again.
    """
    gateways = deployment.gateways
    plan = plan_roll(gateways.served(), gateways.stored(), model, version)
    if plan.old == [plan.new]:
        return f"{plan.new} is what is served already"
    _serve_both(deployment, plan)
    deployment.news(model, f"every backend has {plan.new}; switching the gateways to it")
    _switch(deployment, plan)
    for backend in plan.backends:
        prepare(deployment, backend, plan.after)
        replace(deployment, Replacement(backend, plan.after, plan.both, [plan.new], [plan.new]))
    return f"{plan.new} is served in place of {', '.join(plan.old)}"


def _serve_both(deployment: Deployment, plan: Roll) -> None:
    for number, backend in enumerate(plan.backends):
        try:
            prepare(deployment, backend, plan.both)
            replace(deployment, Replacement(backend, plan.both, plan.before, [*plan.old, plan.new], plan.old))
        except RuntimeFailure:
            prepare(deployment.to_the_end(), backend, plan.before)
            _back(deployment.to_the_end(), plan, plan.backends[:number])
            raise


def _switch(deployment: Deployment, plan: Roll) -> None:
    try:
        deployment.gateways.load(plan.model)
        reason = "their configuration names other versions of it as `models`"
    except RuntimeFailure as failure:
        reason = str(failure)
    found = [f"{plan.model}/{one}" for one in _versions(deployment.gateways.served()[plan.model])]
    if found == [plan.new]:
        return
    if plan.new in found:
        raise RuntimeFailure(
            f"{plan.model}: not every gateway has switched to {plan.new}: {reason}; "
            f"every backend serves {', '.join(found)}: try again"
        )
    _back(deployment.to_the_end(), plan, plan.backends)
    raise RuntimeFailure(f"{plan.model}: the gateways do not switch to {plan.new}: {reason}; rolled back")


def _back(deployment: Deployment, plan: Roll, backends: Sequence[str]) -> None:
    for backend in backends:
        prepare(deployment, backend, plan.before)
        replace(deployment, Replacement(backend, plan.before, plan.both, plan.old, plan.old))


def _versions(backends: Mapping[str, Sequence[str]]) -> list[str]:
    """The versions that any of ``backends`` serves, oldest first."""
    return sorted({version for versions in backends.values() for version in versions}, key=int)


def _told(models: Sequence[str]) -> Change:
    return Change(environment={_VARIABLE: json.dumps([*dict.fromkeys(models)])})
