"""From the settings of a backend that is an engine in this process to the engine."""

from __future__ import annotations

import structlog

from gateway.backends.embedded import EmbeddedBackend, EmbeddedModel
from gateway.config.backends import EmbeddedBackend as EmbeddedSettings
from model_store.engines import open_engine
from model_store.engines.capabilities import CAPABILITIES
from model_store.manifest import verify_checksums
from model_store.store import ModelStore

_log = structlog.get_logger()


def embed(name: str, settings: EmbeddedSettings, store: ModelStore) -> EmbeddedBackend:
    """The backend called ``name``, for the models of ``store``; none is open yet."""

    def open_model(model: str, version: str) -> EmbeddedModel:
        stored = store.get(model, version)
        verify_checksums(stored.directory, stored.manifest)
        engine = open_engine(settings.engine, stored.directory, stored.manifest, settings.device, settings.threads)
        _log.info("engine loaded", backend=name, engine=settings.engine, model=model, version=version)
        return EmbeddedModel(engine, stored.manifest.model_signature())

    return EmbeddedBackend(
        name,
        open_model,
        instances=settings.instances,
        queue_size=settings.queue_size,
        capabilities=CAPABILITIES[settings.engine],
    )
