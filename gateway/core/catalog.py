"""The models a gateway serves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from gateway.core.backend import Endpoint
from gateway.core.differences import Allowed, Tolerance
from gateway.core.errors import InvalidRequest, ModelNotFound, NoHealthyBackend, Unavailable
from gateway.core.gate import Gate
from gateway.core.in_flight import InFlight
from gateway.core.messages import InferRequest, InferResponse
from gateway.core.padding import Padding
from gateway.core.preparation import Classify, Prepare, Takes
from gateway.core.second_chances import SecondChances
from gateway.core.service import Service
from gateway.core.signatures import Signature
from gateway.core.statistics import ModelStatistics


async def _unrouted(request: InferRequest, /) -> InferResponse:
    raise NoHealthyBackend(f"no backend serves model {request.model!r}")


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
        signatures: every named signature of a model that has names for them (TensorFlow's), the default one among them.
        takes: what it can be given, beside its tensors.
        prepare: makes its inputs of pictures or texts; None when it takes tensors only.
        classify: makes classes of its outputs; None when it is no classifier.
        padding: how rows of several lengths may be joined; None when only those of one length may.
        cached: equal requests may get one answer.
        allowed: how far the answers of two of its servers may be apart.
        service: the model's part of the stack.
        attempt: the part of it that asks one backend once, and for nobody else.
        statistics: counts and durations since the start.
        in_flight: requests that it is answering.
        gate: lets its requests in; None where all are.
        chances: what is known of its retries and hedges; None where there is no second backend.
    """

    name: str
    version: str
    platform: str
    signature: Signature
    max_batch_size: int
    labels: tuple[str, ...]
    endpoints: tuple[Endpoint, ...]
    signatures: Mapping[str, Signature] = field(default_factory=dict)
    takes: Takes = "tensors"
    prepare: Prepare | None = None
    classify: Classify | None = None
    padding: Padding | None = None
    cached: bool = False
    allowed: Allowed = Tolerance().allowed
    service: Service = _unrouted
    attempt: Service = _unrouted
    statistics: ModelStatistics = field(default_factory=ModelStatistics)
    in_flight: InFlight = field(default_factory=InFlight)
    gate: Gate | None = None
    chances: SecondChances | None = None

    @property
    def ready(self) -> bool:
        """Whether any backend can answer for it now."""
        return any(endpoint.healthy and not endpoint.refusal for endpoint in self.endpoints)

    def without_stack(self) -> ServedModel:
        """The same without a stack, for another one to be built on: that must not keep the old one alive."""
        return replace(self, service=_unrouted, attempt=_unrouted)

    def signature_called(self, name: str) -> Signature:
        """The signature called ``name``; empty means the default one.

        Raises:
            InvalidRequest: it has none of that name; says which it has.
        """
        if not name:
            return self.signature
        signature = self.signatures.get(name)
        if signature is None:
            raise InvalidRequest(f"model {self.name!r} has no signature {name!r}; it has {sorted(self.signatures)}")
        return signature


class Catalog:
    """Look-up of served models by name and version, or by a label that stands for a version.

    ``labels`` holds, for each model, version by label.

    Attributes:
        guarded: requests have to be admitted.
    """

    def __init__(
        self, models: Iterable[ServedModel] = (), labels: Mapping[str, Mapping[str, str]] | None = None
    ) -> None:
        self._models: dict[str, dict[str, ServedModel]] = {}
        self._missing: dict[str, str] = {}
        self._labels = labels or {}
        self.guarded = False
        for model in models:
            self.add(model)

    def __iter__(self) -> Iterator[ServedModel]:
        return iter([model for versions in self._models.values() for model in versions.values()])

    def add(self, model: ServedModel) -> None:
        """Serve ``model`` from now on, in place of one of the same name and version."""
        versions = {**self._models.get(model.name, {}), model.version: model}
        self.guarded = model.gate is not None  # admission is for all models or for none
        # Oldest first, so that the last one is what a client without a version gets.
        self._models[model.name] = dict(sorted(versions.items(), key=lambda item: int(item[0])))
        self._missing.pop(model.name, None)

    def remove(self, name: str, version: str = "") -> None:
        """Serve ``version`` of ``name`` no more; without ``version`` none of them, and none is expected either."""
        self._missing.pop(name, None)
        left = {known: model for known, model in self._models.pop(name, {}).items() if version and known != version}
        if left:
            self._models[name] = left

    def find(self, name: str, version: str) -> ServedModel | None:
        """That very version, if it is served."""
        return self._models.get(name, {}).get(version)

    def only(self, name: str, version: str) -> ServedModel | None:
        """What requests for ``version`` of ``name``, empty for any, certainly are for; None if that is not certain."""
        versions = self._models.get(name, {})
        if version or len(versions) != 1:
            return versions.get(version)
        return next(iter(versions.values()))

    def expect(self, name: str, reason: str) -> None:
        """Say that ``name`` cannot be served yet because of ``reason``, in place of "unknown model"."""
        self._missing[name] = reason

    @property
    def expected(self) -> Mapping[str, str]:
        """Why each configured model cannot be served yet."""
        return self._missing

    def versions(self, name: str) -> list[ServedModel]:
        """Every served version of ``name``, oldest first.

        Raises:
            ModelNotFound: unknown name; says which exist.
            Unavailable: it is configured, but cannot be served yet.
        """
        versions = self._models.get(name)
        if versions is None:
            if name in self._missing:
                raise Unavailable(f"model {name!r} cannot be served yet: {self._missing[name]}")
            raise ModelNotFound(f"unknown model {name!r}; served: {', '.join(sorted(self._models)) or 'none'}")
        return list(versions.values())

    def labels(self, name: str) -> Mapping[str, str]:
        """Version by label, of the model called ``name``."""
        return self._labels.get(name, {})

    def set_labels(self, labels: Mapping[str, Mapping[str, str]]) -> None:
        """Let ``labels`` (version by label, for each model) stand from now on, in place of all that stood before."""
        self._labels = labels

    def get(self, name: str, version: str = "", label: str = "") -> ServedModel:
        """The model; without ``version`` and ``label`` its latest version.

        Raises:
            ModelNotFound: unknown name, version or label; says which exist.
            Unavailable: it is configured, but cannot be served yet.
        """
        versions = self._models.get(name) or {model.version: model for model in self.versions(name)}
        if label:
            labels = self.labels(name)
            if label not in labels:
                raise ModelNotFound(f"model {name!r} has no version labelled {label!r}; labels: {sorted(labels)}")
            version = labels[label]
        if not version:
            return versions[next(reversed(versions))]
        model = versions.get(version)
        if model is None:
            raise ModelNotFound(f"model {name!r} has no version {version!r}; served: {', '.join(versions)}")
        return model
