"""TensorFlow Serving, real or ours."""

from __future__ import annotations

import contextlib
from dataclasses import replace

from gateway.backends.tfserving_control import TFServingControl
from gateway.backends.tfserving_transport import TFServingTransport
from gateway.codecs.tfs_metadata import default_name
from gateway.codecs.tfs_model_spec import DEFAULT_SIGNATURE
from gateway.codecs.tfs_status import AVAILABLE
from gateway.core.backend import Backend, ModelDescription
from gateway.core.errors import GatewayError, Unavailable, Unsupported
from gateway.core.messages import InferRequest, InferResponse
from gateway.core.signatures import Signature


class TFServingBackend(Backend):
    """One server behind ``transport``. It does not list its models: the configuration names them.

    ``control`` is None for a server whose models are not changed from here.
    """

    kind = "tfserving"

    def __init__(self, name: str, transport: TFServingTransport, control: TFServingControl | None = None) -> None:
        self.name = name
        self.capabilities = transport.capabilities
        self._transport = transport
        self._control = control
        # What a client gets who names no signature, where that is not the server's own default.
        self._defaults: dict[tuple[str, str], str] = {}

    async def __call__(self, request: InferRequest, /) -> InferResponse:
        if not request.signature and (default := self._defaults.get((request.model, request.version))):
            request = replace(request, signature=default)
        return await self._transport.infer(request)

    async def check(self, model: str, version: str) -> None:
        statuses = await self._transport.status(model, version)
        if not any(status.state == AVAILABLE for status in statuses):
            states = ", ".join(f"{status.version}: {status.state}" for status in statuses)
            raise Unavailable(f"no version is available ({states or 'none is known'})")

    async def close(self) -> None:
        await self._transport.close()
        if self._control is not None:
            await self._control.close()

    async def describe(self, model: str) -> ModelDescription:
        statuses = await self._transport.status(model, "")
        available = [str(status.version) for status in statuses if status.state == AVAILABLE]
        if not available:
            raise Unavailable(f"backend {self.name!r}: no version of model {model!r} is available")
        older: list[ModelDescription] = []
        for version in available[:-1]:
            with contextlib.suppress(GatewayError):  # the latest one decides
                older.append(await self._describe(model, version))
        return replace(await self._describe(model, available[-1]), older=tuple(older))

    async def load(self, model: str, version: str) -> None:  # noqa: ARG002 - a model is loaded with all its versions
        await self._model_control().load(model)

    async def unload(self, model: str, version: str) -> None:  # noqa: ARG002
        await self._model_control().unload(model)

    async def _describe(self, model: str, version: str) -> ModelDescription:
        learned = await self._transport.signatures(model, version)
        default = default_name(learned)
        signature = learned.get(default)
        if not isinstance(signature, Signature):
            reason = signature or "; ".join(f"{name!r}: {why}" for name, why in learned.items()) or "it tells of none"
            raise Unsupported(f"backend {self.name!r}: no signature of model {model!r} can be served: {reason}")
        if default != DEFAULT_SIGNATURE:
            self._defaults[model, version] = default
        return ModelDescription(
            version=version,
            platform="tensorflow-serving",
            signature=signature,
            signatures={name: each for name, each in learned.items() if isinstance(each, Signature)},
        )

    def _model_control(self) -> TFServingControl:
        if self._control is None:
            raise Unsupported(f"backend {self.name!r}: model_control.base_paths is not configured")
        return self._control
