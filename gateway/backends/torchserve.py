"""TorchServe: the model store's archives, and users' own whose handlers the configuration describes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import replace

from gateway.backends.hosts import NO_HOSTS, Hosts
from gateway.backends.torchserve_grpc import TorchServeGRPC
from gateway.backends.torchserve_http import TorchServeHTTP
from gateway.backends.torchserve_keys import Keys
from gateway.backends.torchserve_management import Management, Version
from gateway.backends.torchserve_transport import Answer, Transport
from gateway.codecs.torchserve_parts import Part
from gateway.codecs.torchserve_payload import WHOLE_BODIES, HandlerProfile
from gateway.codecs.torchserve_request import CONTENT_TYPE
from gateway.codecs.torchserve_versions import decimal_version
from gateway.config import backends as config
from gateway.core.backend import Backend, ModelDescription
from gateway.core.capabilities import EVERYTHING
from gateway.core.errors import ModelNotFound, Unavailable, Unsupported
from gateway.core.messages import NO_PARAMETERS, InferRequest, InferResponse, Parameter
from gateway.core.signatures import Signature, TensorSpec

_PLATFORM = "torchserve"


class TorchServeBackend(Backend):
    """One TorchServe, reached by ``transport``.

    ``profiles`` say how the handlers of single models are spoken to, ``profile`` how all others are. ``management``
    tells of models and versions and controls them; None where it cannot be reached. ``from_store``: it has the model
    store's archives, and so calls versions as the gateway does, even where it cannot be asked.
    """

    kind = "torchserve"

    def __init__(
        self,
        name: str,
        transport: Transport,
        *,
        management: Management | None = None,
        profile: HandlerProfile | None = None,
        profiles: Mapping[str, HandlerProfile] | None = None,
        request_bytes: int = 0,
        from_store: bool = False,
    ) -> None:
        self.name = name
        self._transport = transport
        self._management = management
        self._profile = profile or HandlerProfile()
        self._profiles = profiles or {}
        self._from_store = from_store
        # What the server calls each version that it has, by the gateway's name for it, by model.
        self._versions: dict[str, Mapping[str, str]] = {}
        # Where handlers differ, each request is held against its own.
        common = EVERYTHING if self._profiles else self._profile.capabilities
        self.capabilities = replace(common, request_bytes=request_bytes)

    @classmethod
    def from_config(
        cls, name: str, settings: config.TorchServeBackend, *, max_body: int, hosts: Hosts = NO_HOSTS
    ) -> TorchServeBackend:
        """The backend that ``settings`` ask for; ``max_body`` bounds an answer, in bytes."""
        keys, timeout = Keys(name, settings.token_file), settings.timeout
        transport: Transport
        if settings.protocol == "grpc":
            transport = TorchServeGRPC(name, settings.grpc or "", keys, timeout=timeout, max_body=max_body, hosts=hosts)
        else:
            transport = TorchServeHTTP(name, settings.url, keys, timeout=timeout, max_body=max_body, hosts=hosts)
        management = None
        if settings.management is not None:
            workers = settings.launch.instances if settings.launch is not None else 1
            management = Management(
                name, settings.management, keys, timeout=timeout, max_body=max_body, workers=workers, hosts=hosts
            )
        return cls(
            name,
            transport,
            management=management,
            profile=_profile(settings.handler),
            profiles={model: _profile(handler) for model, handler in settings.handlers.items()},
            request_bytes=settings.max_request_bytes,
            from_store=settings.launch is not None,
        )

    async def __call__(self, request: InferRequest, /) -> InferResponse:
        profile = self._profile_of(request.model)
        unasked = request.version if self._from_store else ""
        version = self._versions.get(request.model, {}).get(request.version, unasked)
        profile.capabilities.check(self.name, request)
        if profile.payload == "oip":
            return await self._transport.infer(request, version, binary=profile.binary)
        rows = request.inputs[0].shape[0] if request.inputs and request.inputs[0].shape else 1
        answers = await self._predict(request, version, profile.requests(request))
        outputs = profile.outputs([answer.body for answer in answers], rows)
        return InferResponse(request.model, request.version, outputs, parameters=_content_type(answers))

    async def _predict(
        self, request: InferRequest, version: str, messages: Sequence[Sequence[Part]]
    ) -> Sequence[Answer]:
        context = request.context
        if len(messages) == 1:
            return [await self._transport.predict(request.model, version, messages[0], context)]
        return await asyncio.gather(
            *(self._transport.predict(request.model, version, parts, context) for parts in messages)
        )

    async def check(self, model: str, version: str) -> None:
        await self._transport.ping()  # the inference API and its key; the other one says nothing of these
        if self._management is None:
            return
        try:
            versions = await self._management.versions(model)
        except ModelNotFound:
            self._versions.pop(model, None)
            raise Unavailable("the server does not have the model") from None
        names = self._note(model, versions)
        if version and version not in names:
            raise Unavailable(f"it has no version {version}")
        if not any(each.ready for each in versions if not version or each.name == names[version]):
            raise Unavailable("none of its workers is ready")

    async def list_models(self) -> list[str]:
        described = list(self._profiles)
        if self._management is None:
            return [model for model in described if self._signature(model) is not None]
        return [model for model in await self._management.models() if self._signature(model) is not None]

    async def describe(self, model: str) -> ModelDescription:
        signature = self._signature(model)
        if signature is None:
            raise Unsupported(
                f"backend {self.name!r} does not tell what {model!r} takes and gives: describe it in its handlers"
            )
        profile = self._profile_of(model)
        told = ModelDescription("", _PLATFORM, signature, max_batch_size=profile.max_batch_size, labels=profile.labels)
        if self._management is None:
            return told
        versions = await self._management.versions(model)
        names = {theirs: ours for ours, theirs in self._note(model, versions).items()}
        ready = [replace(told, version=names[version.name]) for version in versions if version.ready]
        if not ready:
            raise Unavailable(f"backend {self.name!r}: no worker of {model!r} is ready")
        return replace(ready[-1], older=tuple(ready[:-1]))

    async def load(self, model: str, version: str) -> None:
        if self._management is None:
            raise Unsupported(f"backend {self.name!r}: its management API is not configured")
        try:
            await self._register(self._management, model, version)
        except TimeoutError:
            raise Unavailable(f"backend {self.name!r}: no worker of {model!r} became ready in time") from None

    @staticmethod
    async def _register(management: Management, model: str, version: str) -> None:
        # An archive holds one version. Beside the latest, a model store has older ones under names of their own.
        if version:
            with contextlib.suppress(ModelNotFound):
                await management.register(model, f"{model}-{version}")
                return
        await management.register(model, model)

    async def unload(self, model: str, version: str) -> None:
        if self._management is None:
            raise Unsupported(f"backend {self.name!r}: its management API is not configured")
        await self._management.unregister(model, self._versions.get(model, {}).get(version, ""))
        self._versions.pop(model, None)

    async def close(self) -> None:
        await self._transport.close()
        if self._management is not None:
            await self._management.close()

    def _note(self, model: str, versions: list[Version]) -> Mapping[str, str]:
        """Remember the versions that the server has: what it calls each, by the gateway's name for it."""
        names: dict[str, str] = {}
        for version in versions:
            number = decimal_version(version.name)
            names[version.name if number in names else number] = version.name
        self._versions[model] = names
        return names

    def _profile_of(self, model: str) -> HandlerProfile:
        return self._profiles.get(model, self._profile)

    def _signature(self, model: str) -> Signature | None:
        profile = self._profile_of(model)
        return WHOLE_BODIES if profile.signature is None and profile.payload == "raw" else profile.signature


def _content_type(answers: Sequence[Answer]) -> Mapping[str, Parameter]:
    """The type that all answers have, as a parameter of the response."""
    kinds = {answer.content_type for answer in answers}
    kind = kinds.pop() if len(kinds) == 1 else ""
    return {CONTENT_TYPE: kind} if kind else NO_PARAMETERS


def _profile(settings: config.TorchServeHandler) -> HandlerProfile:
    signature = None
    if settings.inputs or settings.outputs:
        inputs, outputs = (
            tuple(TensorSpec(tensor.name, tensor.datatype, tuple(tensor.shape)) for tensor in side)
            for side in (settings.inputs, settings.outputs)
        )
        signature = Signature(inputs or WHOLE_BODIES.inputs, outputs or WHOLE_BODIES.outputs)
    return HandlerProfile(
        payload=settings.payload,
        binary=settings.binary,
        document=settings.document,
        content_type=settings.content_type,
        signature=signature,
        labels=tuple(settings.labels),
        max_batch_size=settings.max_batch_size,
    )
