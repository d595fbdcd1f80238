"""Control over the models of a TensorFlow Serving, which takes only the whole list of them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from gateway.backends.grpc_channel import GRPCChannel
from gateway.backends.hosts import NO_HOSTS, Hosts
from gateway.codecs import tfs_grpc, tfs_reload, tfs_status
from gateway.codecs.tfs_status import END
from gateway.core.errors import ModelNotFound


class TFServingControl:
    """Loads and unloads by sending the list anew.

    The list holds whichever of ``base_paths`` (by name, the folders of models on the server) it serves at that moment,
    with the change. A model that the server has and ``base_paths`` lacks is gone afterwards: name them all.
    """

    def __init__(
        self,
        backend: str,
        target: str,
        base_paths: Mapping[str, str],
        *,
        timeout: float,
        max_body: int,
        hosts: Hosts = NO_HOSTS,
    ) -> None:
        self._backend = backend
        self._base_paths = base_paths
        self._channel = GRPCChannel(backend, target, timeout=timeout, max_body=max_body, hosts=hosts)
        self._status = self._channel.method(tfs_grpc.MODEL_STATUS_METHOD)
        self._reload = self._channel.method(tfs_grpc.RELOAD_METHOD)
        self._changing = asyncio.Lock()  # two changes at once would each undo the other

    async def load(self, model: str) -> None:
        """Have ``model`` served; returns when it can answer.

        Raises:
            ModelNotFound: ``base_paths`` lacks it.
            GatewayError: the server does not load it, or does not answer.
        """
        self._check(model)
        async with self._changing:
            await self._send({*await self._served(), model})

    async def unload(self, model: str) -> None:
        """Have ``model`` served no more; raises as ``load``."""
        self._check(model)
        async with self._changing:
            await self._send(await self._served() - {model})

    async def close(self) -> None:
        """Close the connection."""
        await self._channel.close()

    def _check(self, model: str) -> None:
        if model not in self._base_paths:
            raise ModelNotFound(f"backend {self._backend!r}: model_control.base_paths does not name {model!r}")

    async def _served(self) -> set[str]:
        names = list(self._base_paths)
        states = await asyncio.gather(*(self._is_served(name) for name in names))
        return {name for name, served in zip(names, states, strict=True) if served}

    async def _is_served(self, model: str) -> bool:
        try:
            answer = await self._channel.call(self._status, tfs_status.encode_status_request(model), quiet=True)
        except ModelNotFound:
            return False
        return any(version.state != END for version in tfs_status.decode_status_response(answer))

    async def _send(self, names: set[str]) -> None:
        base_paths = {name: path for name, path in self._base_paths.items() if name in names}
        answer = await self._channel.call(self._reload, tfs_reload.encode_reload_request(base_paths))
        tfs_reload.decode_reload_response(answer)
