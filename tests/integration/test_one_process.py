"""What users import beside the gateway must not meet it in protobuf's default pool."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.integration

IMPORTS = ["tensorflow", "tritonclient.grpc", "gateway.app, gateway.codecs.oip_grpc, gateway.codecs.tfs_grpc"]


@pytest.mark.parametrize("order", [IMPORTS, IMPORTS[::-1]])
def test_tensorflow_tritonclient_and_the_gateway_live_in_one_process(order):
    program = "".join(f"import {names}\n" for names in order) + (
        "from gateway.protos.loader import message_class\n"
        "from tritonclient.grpc import service_pb2\n"
        "import tensorflow as tf\n"
        "print(message_class('inference.ModelInferRequest')(id='a').id, service_pb2.ModelInferRequest(id='b').id,"
        " tf.constant(3).numpy())\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.split() == ["a", "b", "3"]
