"""OpenVINO Model Server's client, which speaks TensorFlow Serving's protocol: ``openvino_client.py HTTP GRPC``."""

import sys

import numpy as np
from ovmsclient import make_grpc_client, make_http_client

FIRST, SECOND = np.arange(16, dtype=np.int32).reshape(1, 16), np.ones((1, 16), np.int32)

for client in (make_http_client(sys.argv[1]), make_grpc_client(sys.argv[2])):
    # It says version 0 where it means the latest.
    for version in (0, 1):
        answer = client.predict(inputs={"x": [1.0, 2.0]}, model_name="half_plus_two", model_version=version)
        assert answer.tolist() == [2.5, 3.0], answer
    answer = client.predict(inputs={"INPUT0": FIRST, "INPUT1": SECOND}, model_name="simple")
    assert (answer["OUTPUT0"] == FIRST + SECOND).all(), answer
    assert (answer["OUTPUT1"] == FIRST - SECOND).all(), answer
    status = client.get_model_status("half_plus_two")
    assert status[1]["state"] == "AVAILABLE", status
    metadata = client.get_model_metadata("simple")
    assert str(metadata).count("INPUT") >= 2, metadata
