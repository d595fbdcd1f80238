"""Which requests of a model are put to somebody else too, by the configuration."""

from __future__ import annotations

from gateway.config.settings import GatewayConfig
from gateway.config.shadowing import MirrorConfig, ShadowConfig
from gateway.core.catalog import ServedModel
from gateway.core.differences import Allowed, Tolerance
from gateway.core.service import Service
from gateway.filters.compare import Compare
from gateway.filters.mirror import Mirror, Mirroring, MirrorLimits, Target
from gateway.filters.shadow import Shadow


def with_mirrors(service: Service, model: ServedModel, settings: GatewayConfig, shared: Mirroring) -> Service:
    """``service`` with the shadow and the comparison of ``model``; itself where it has neither."""
    shadow = settings.shadow.get(f"{model.name}/{model.version}") or settings.shadow.get(model.name)
    if shadow is not None and shadow.share > 0 and not _is_itself(model, shadow):
        target = Target(shadow.backend or "", shadow.version or "", shadow.label or "")
        service = Shadow(service, _mirror(model, target, shadow, shared), shadow.share)
    comparing = settings.compare.get(model.name)
    if comparing is not None and len(model.endpoints) > 1:
        # Outermost, so that a shadow does not count who waits for it.
        names = [endpoint.backend for endpoint in model.endpoints]
        mirrors = {name: _mirror(model, Target(name), comparing, shared) for name in names}
        service = Compare(service, mirrors, comparing.share, comparing.timeout)
    return service


def _is_itself(model: ServedModel, shadow: ShadowConfig) -> bool:
    """Whether ``model`` is the version that is the shadow of the others."""
    return shadow.version == model.version and not shadow.backend


def _mirror(model: ServedModel, target: Target, settings: MirrorConfig, shared: Mirroring) -> Mirror:
    limits = MirrorLimits(settings.timeout, settings.concurrent, settings.busy, settings.samples)
    return Mirror(model, target, limits, _allowed(model, settings), shared)


def _allowed(model: ServedModel, settings: MirrorConfig) -> Allowed:
    if settings.tolerance is None:
        return model.allowed
    return Tolerance(settings.tolerance.abs, settings.tolerance.rel).allowed
