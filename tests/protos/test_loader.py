import sys

from gateway.protos.compile import DESCRIPTORS, compile_descriptors
from gateway.protos.loader import message_class, pool


def test_the_compiled_descriptors_are_those_of_the_proto_files():
    assert DESCRIPTORS.read_bytes() == compile_descriptors(), "run: make protos"


def test_nothing_enters_protobufs_default_pool():
    from google.protobuf import descriptor_pool

    ours = message_class("tensorflow.serving.PredictRequest").DESCRIPTOR
    assert ours.file.pool is pool()
    if "tensorflow" not in sys.modules:
        try:
            descriptor_pool.Default().FindMessageTypeByName("tensorflow.serving.PredictRequest")
        except KeyError:
            return
        raise AssertionError("our definition is in the default pool")
