"""What users import beside the gateway must not meet it in protobuf's default pool."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.integration

IMPORTS = [
    "tensorflow",
    "tritonclient.grpc",
    "opentelemetry.proto.collector.trace.v1.trace_service_pb2",
    "gateway.app, gateway.codecs.oip_grpc, gateway.codecs.tfs_grpc, gateway.telemetry.otel",
]


@pytest.mark.parametrize("order", [IMPORTS, IMPORTS[::-1]])
def test_tensorflow_tritonclient_opentelemetry_and_the_gateway_live_in_one_process(order):
    program = "".join(f"import {names}\n" for names in order) + (
        "from gateway.protos.loader import message_class\n"
        "from tritonclient.grpc import service_pb2\n"
        "from opentelemetry.proto.trace.v1.trace_pb2 import Span\n"
        "import tensorflow as tf\n"
        "print(message_class('inference.ModelInferRequest')(id='a').id, service_pb2.ModelInferRequest(id='b').id,"
        " tf.constant(3).numpy(), Span(name='d').name)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.split() == ["a", "b", "3", "d"]
