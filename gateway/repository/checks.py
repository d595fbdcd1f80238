"""What of a configuration can only be judged with the model store at hand."""

from __future__ import annotations

from gateway.config.settings import GatewayConfig
from gateway.repository.routed import check_routing
from gateway.repository.shadow_targets import check_shadows
from gateway.repository.stored import ServedVersions, check_labels
from model_store.store import ModelStore


def check_stored(settings: GatewayConfig, store: ModelStore) -> None:
    """Return when all that ``settings`` say of the store's models fits them; the same at start and at run time.

    Raises:
        ConfigError: something does not; names the key.
        StoreError: the store lacks a model, or a manifest is damaged.
    """
    served = ServedVersions(settings, store)
    check_labels(settings, served)
    check_routing(settings, served)
    check_shadows(settings, served)
