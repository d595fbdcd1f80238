"""What every launcher needs to know: the resolved configuration, the run directory and the built models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from gateway.config.settings import GatewayConfig
from gateway.core.datatypes import NUMPY_DTYPE, Datatype
from gateway.core.signatures import TensorSpec
from gateway.core.tensors import Tensor
from gateway.runtime.readiness import ProbeInput
from gateway.runtime.state import RunDirectory
from model_store.store import StoredModel


@dataclass(slots=True, frozen=True)
class LaunchContext:
    """``config`` has no port 0 and no relative path left.

    ``models`` are those the stack serves, each by what the configuration calls it: ``name`` or ``name/version``.
    ``elsewhere``: the files are for a server whose program is not installed here.
    """

    config: GatewayConfig
    run: RunDirectory
    models: Mapping[str, StoredModel]
    elsewhere: bool = False

    def models_of(self, backend: str) -> list[StoredModel]:
        """The models that the backend serves, each version by itself."""
        return [self.models[entry] for entry in self.entries_of(backend)]

    def entries_of(self, backend: str) -> list[str]:
        """What the configuration calls them."""
        names = self.config.backends[backend].models
        return [entry for entry, model in self.models.items() if names is None or model.manifest.name in names]


def probe_inputs(models: Sequence[StoredModel]) -> list[ProbeInput]:
    """One inference a model, which its latest version answers: a sample of the store, or zeros where it has none."""
    latest: dict[str, StoredModel] = {}
    for model in sorted(models, key=lambda model: int(model.manifest.version)):
        latest[model.manifest.name] = model
    names = dict.fromkeys(model.manifest.name for model in models)
    return [ProbeInput(name, _inputs(latest[name])) for name in names]


def _inputs(model: StoredModel) -> tuple[Tensor, ...]:
    if model.manifest.samples:
        sample = next(iter(model.samples().values()))
        return tuple(Tensor.from_numpy(name, array) for name, array in sample.items())
    return tuple(_zeros(spec) for spec in model.manifest.model_signature().inputs)


def _zeros(spec: TensorSpec) -> Tensor:
    shape = tuple(1 if size == -1 else size for size in spec.shape)
    if spec.datatype is Datatype.BYTES:
        return Tensor.from_numpy(spec.name, np.full(shape, b"", dtype=object))
    elements = np.zeros(shape, dtype=NUMPY_DTYPE[spec.datatype])
    return Tensor(spec.name, spec.datatype, shape, elements.tobytes())
