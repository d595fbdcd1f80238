"""The models a gateway serves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from gateway.core.backend import Endpoint
from gateway.core.errors import ModelNotFound
from gateway.core.preparation import Prepare
from gateway.core.signatures import Signature
from gateway.core.statistics import ModelStatistics


@dataclass(slots=True, frozen=True)
class ServedModel:
    """One version of a model, with the endpoints that serve it.

    Attributes:
        name: as clients ask for it.
        version: decimal, as TensorFlow Serving needs.
        platform: what built it, for the metadata; free text.
        signature: inputs and outputs.
        max_batch_size: largest first dimension; 0 when the model has no batch dimension.
        labels: class names by index; empty when there are none.
        endpoints: where it is served.
        prepare: makes its inputs of pictures or texts; None when it takes tensors only.
        statistics: counts and durations since the start.
    """

    name: str
    version: str
    platform: str
    signature: Signature
    max_batch_size: int
    labels: tuple[str, ...]
    endpoints: tuple[Endpoint, ...]
    prepare: Prepare | None = None
    statistics: ModelStatistics = field(default_factory=ModelStatistics)

    @property
    def ready(self) -> bool:
        """Whether any backend can answer for it now."""
        return any(endpoint.healthy for endpoint in self.endpoints)


class Catalog:
    """Look-up of served models by name and version."""

    def __init__(self, models: Iterable[ServedModel]) -> None:
        self._models = {model.name: model for model in models}

    def __iter__(self) -> Iterator[ServedModel]:
        return iter(self._models.values())

    def get(self, name: str, version: str = "") -> ServedModel:
        """The model; ``version`` empty means the one that is served.

        Raises:
            ModelNotFound: unknown name or version; says which exist.
        """
        model = self._models.get(name)
        if model is None:
            raise ModelNotFound(f"unknown model {name!r}; served: {', '.join(sorted(self._models)) or 'none'}")
        if version and version != model.version:
            raise ModelNotFound(f"model {name!r} has no version {version!r}; served: {model.version}")
        return model
