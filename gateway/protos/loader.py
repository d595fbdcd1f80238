"""Message classes from our own ``.proto`` files, in a descriptor pool of our own.

TensorFlow, tritonclient and others register the same names in protobuf's default pool, where a second definition
ends the process; in a private pool ours cannot meet theirs. ``descriptors.binpb`` is what ``make protos`` compiles
from the ``.proto`` files next to it; a test fails when the two differ.
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Any

from google.protobuf import any_pb2, descriptor_pb2, empty_pb2, message_factory, wrappers_pb2
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2


@cache
def pool() -> DescriptorPool:
    """The private pool with every definition that the gateway serves."""
    private = DescriptorPool()
    for imported in (any_pb2, empty_pb2, wrappers_pb2, health_pb2, reflection_pb2):
        private.AddSerializedFile(imported.DESCRIPTOR.serialized_pb)
    files = descriptor_pb2.FileDescriptorSet.FromString(
        resources.files(__package__).joinpath("descriptors.binpb").read_bytes()
    )
    for file in files.file:
        private.AddSerializedFile(file.SerializeToString())
    return private


def message_class(full_name: str) -> Any:
    """The class of the message called ``full_name``, such as ``inference.ModelInferRequest``."""
    return message_factory.GetMessageClass(pool().FindMessageTypeByName(full_name))


def service(full_name: str) -> ServiceDescriptor:
    """The descriptor of the service called ``full_name``, such as ``inference.GRPCInferenceService``."""
    return pool().FindServiceByName(full_name)
