"""The control operations of the Open Inference Protocol over gRPC: repository, shared memory, logging, tracing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from gateway.codecs.shared_memory import switched_off
from gateway.core.errors import NotFound, Unsupported
from gateway.frontends.authorization import Caller
from gateway.frontends.oip import model as documents
from gateway.frontends.oip import repository, settings
from gateway.frontends.oip.lookup import model_called
from gateway.frontends.operations import Access, Operation
from gateway.frontends.server import Server
from gateway.frontends.shared_memory import SharedMemoryRegions, require_this_machine

# Turns a parsed request into the fields of its response.
Answer = Callable[[Any, Caller], Awaitable[dict[str, Any]]]

OPERATIONS = (
    Operation("rpc", "RepositoryIndex", "every model known, with its state"),
    Operation("rpc", "RepositoryModelLoad", "load a model, or load it anew", Access.ADMIN),
    Operation("rpc", "RepositoryModelUnload", "unload a model", Access.ADMIN),
    Operation("rpc", "SystemSharedMemoryStatus", "registered shared memory, for callers on this machine"),
    Operation("rpc", "SystemSharedMemoryRegister", "register a shared memory segment"),
    Operation("rpc", "SystemSharedMemoryUnregister", "forget one or all shared memory regions"),
    Operation("rpc", "CudaSharedMemoryStatus", "registered CUDA memory: none"),
    Operation("rpc", "CudaSharedMemoryRegister", "register CUDA memory", missing=documents.NO_CUDA),
    Operation("rpc", "CudaSharedMemoryUnregister", "forget CUDA memory"),
    Operation("rpc", "TraceSetting", "trace settings; changing them is not implemented"),
    Operation("rpc", "LogSettings", "which log messages are written; changing it is for administrators"),
)


class ControlAnswers:
    """Answers to OPERATIONS."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def by_name(self) -> Mapping[str, Answer]:
        """An answer for each implemented operation."""
        return {
            "RepositoryIndex": self._index,
            "RepositoryModelLoad": self._load,
            "RepositoryModelUnload": self._unload,
            "SystemSharedMemoryStatus": self._memory_status,
            "SystemSharedMemoryRegister": self._register_memory,
            "SystemSharedMemoryUnregister": self._unregister_memory,
            "CudaSharedMemoryStatus": _cuda_status,
            "CudaSharedMemoryUnregister": _nothing,
            "TraceSetting": self._trace,
            "LogSettings": self._logging,
        }

    async def _index(self, asked: Any, _: Caller) -> dict[str, Any]:
        repository.refuse_repository_name(asked.repository_name)
        return {"models": repository.index(self._server.repository, ready=asked.ready)}

    async def _load(self, asked: Any, _: Caller) -> dict[str, Any]:
        repository.refuse_repository_name(asked.repository_name)
        parameters = {name: value.string_param for name, value in asked.parameters.items()}
        await repository.load(self._server.repository, asked.model_name, parameters)
        return {}

    async def _unload(self, asked: Any, _: Caller) -> dict[str, Any]:
        repository.refuse_repository_name(asked.repository_name)
        await repository.unload(self._server.repository, asked.model_name, asked.parameters)
        return {}

    async def _memory_status(self, asked: Any, caller: Caller) -> dict[str, Any]:
        regions = self._memory(caller).status(asked.name)
        return {"regions": {region.name: documents.region(region) for region in regions}}

    async def _register_memory(self, asked: Any, caller: Caller) -> dict[str, Any]:
        self._memory(caller).register(asked.name, asked.key, asked.offset, asked.byte_size)
        return {}

    async def _unregister_memory(self, asked: Any, caller: Caller) -> dict[str, Any]:
        self._memory(caller).unregister(asked.name)
        return {}

    async def _trace(self, asked: Any, _: Caller) -> dict[str, Any]:
        if asked.model_name:
            model_called(self._server.catalog, asked.model_name)
        if asked.settings:
            raise Unsupported(settings.NO_TRACING)
        return {
            "settings": {
                name: {"value": [value] if isinstance(value, str) else value}
                for name, value in settings.TRACE_SETTINGS.items()
            }
        }

    async def _logging(self, asked: Any, caller: Caller) -> dict[str, Any]:
        if asked.settings:
            self._server.authorization.require_admin(caller)
            settings.change_log_settings(
                self._server.logs, {name: _value(setting) for name, setting in asked.settings.items()}
            )
        return {"settings": {name: _setting(value) for name, value in settings.log_settings(self._server.logs).items()}}

    def _memory(self, caller: Caller) -> SharedMemoryRegions:
        if self._server.shared_memory is None:
            raise switched_off()
        require_this_machine(caller)
        return self._server.shared_memory


async def _cuda_status(asked: Any, _: Caller) -> dict[str, Any]:
    if asked.name:
        raise NotFound(f"CUDA memory region {asked.name!r} is not registered")
    return {}


async def _nothing(_: Any, __: Caller) -> dict[str, Any]:
    return {}


def _value(setting: Any) -> object:
    choice = setting.WhichOneof("parameter_choice")
    return None if choice is None else getattr(setting, choice)


def _setting(value: object) -> dict[str, object]:
    if isinstance(value, bool):
        return {"bool_param": value}
    return {"uint32_param" if isinstance(value, int) else "string_param": value}
