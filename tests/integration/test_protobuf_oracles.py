"""Our protos and codecs against those of tritonclient and TensorFlow, in one process with both."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.strategies import tensors

from gateway.codecs.tfs_tensor import decode_tensor_proto, encode_tensor_proto
from gateway.core.datatypes import Datatype
from gateway.protos.loader import message_class, pool

pytestmark = pytest.mark.integration

tf = pytest.importorskip("tensorflow")
service_pb2 = pytest.importorskip("tritonclient.grpc.service_pb2")
model_config_pb2 = pytest.importorskip("tritonclient.grpc.model_config_pb2")

TensorProto = message_class("tensorflow.TensorProto")


def theirs():
    from tensorflow.core.example import example_pb2, feature_pb2
    from tensorflow.core.framework import tensor_pb2, tensor_shape_pb2
    from tensorflow.core.protobuf import meta_graph_pb2

    files = [service_pb2, model_config_pb2, tensor_pb2, tensor_shape_pb2, meta_graph_pb2, example_pb2, feature_pb2]
    return {
        name: descriptor
        for module in files
        for name, descriptor in _messages(module.DESCRIPTOR.message_types_by_name.values())
    }


def _messages(descriptors):
    for descriptor in descriptors:
        yield descriptor.full_name, descriptor
        yield from _messages(descriptor.nested_types)


def _field(field):
    kind = field.message_type or field.enum_type
    return (field.number, field.type, field.is_repeated, kind.full_name if kind else None)


@pytest.mark.parametrize("file", ["inference.proto", "tensorflow.proto"])
def test_every_field_has_the_number_and_type_that_the_others_have(file):
    known, compared = theirs(), 0
    for name, ours in _messages(pool().FindFileByName(file).message_types_by_name.values()):
        for field in ours.fields:
            assert _field(field) == _field(known[name].fields_by_name[field.name]), f"{name}.{field.name}"
            compared += 1
    assert compared > 10


def test_the_services_methods_are_tritons():
    ours = pool().FindServiceByName("inference.GRPCInferenceService")
    known = service_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"].methods_by_name
    for method in ours.methods:
        other = known[method.name]
        assert method.input_type.full_name == other.input_type.full_name
        assert method.output_type.full_name == other.output_type.full_name


@given(tensors(datatypes=[datatype for datatype in Datatype if datatype is not Datatype.BF16]), st.booleans())
def test_tensorflow_reads_what_we_write_and_we_read_what_it_writes(tensor, typed):
    from tensorflow.core.framework.tensor_pb2 import TensorProto as TheirProto

    array = tf.make_ndarray(TheirProto.FromString(b"".join(encode_tensor_proto(tensor, typed=typed))))
    assert array.shape == tensor.shape
    if tensor.datatype is Datatype.BYTES:
        assert array.tolist() == tensor.to_numpy().tolist()
        return
    assert array.tobytes() == np.ascontiguousarray(tensor.to_numpy()).tobytes()
    back = TensorProto.FromString(tf.make_tensor_proto(array).SerializeToString())
    assert decode_tensor_proto(tensor.name, back, "x") == tensor
