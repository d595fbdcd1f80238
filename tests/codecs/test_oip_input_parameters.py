"""What a client says beside an input reaches the server that knows what it means, whichever way either speaks."""

import json

import pytest

from gateway.codecs import oip_grpc, oip_http
from gateway.core.errors import InvalidRequest
from gateway.core.limits import Limits
from gateway.core.messages import RequestContext

SAID = {"content_type": "str", "level": 3, "exact": True, "scale": 0.5}
TEXT = {"name": "t", "datatype": "BYTES", "shape": [1], "data": ["a"]}
NUMBER = {"name": "n", "datatype": "FP32", "shape": [1], "data": [1.0]}


def from_json(*inputs):
    body = json.dumps({"inputs": inputs}).encode()
    return oip_http.decode_request(body, None, "m", "", RequestContext("t"), Limits())[0]


@pytest.mark.parametrize("binary", [True, False])
def test_it_passes_from_http_to_http(binary):
    first = from_json({**TEXT, "parameters": SAID}, NUMBER)
    assert first.input_parameters == {"t": SAID}
    body, length = oip_http.encode_request(first, binary=binary)
    second, _ = oip_http.decode_request(body, length, "m", "", RequestContext("t"), Limits())
    assert second.input_parameters == {"t": SAID}
    assert [bytes(tensor.data) for tensor in second.inputs] == [bytes(tensor.data) for tensor in first.inputs]


def test_it_passes_between_http_and_grpc():
    message = oip_grpc.encode_request(from_json({**TEXT, "parameters": SAID}, NUMBER))
    decoded, _ = oip_grpc.decode_request(message, RequestContext("t"), Limits())
    assert decoded.input_parameters == {"t": SAID}
    body, length = oip_http.encode_request(decoded)
    parameters = [each.get("parameters") for each in json.loads(body[:length])["inputs"]]
    assert parameters == [{**SAID, "binary_data_size": 5}, {"binary_data_size": 4}]


def test_how_a_tensor_travels_is_not_passed_on_and_null_says_nothing():
    body, length = oip_http.encode_request(from_json({**TEXT, "parameters": None}, NUMBER))
    decoded, _ = oip_http.decode_request(body, length, "m", "", RequestContext("t"), Limits())
    assert decoded.input_parameters == {}


@pytest.mark.parametrize("value", [None, [], {}])
def test_values_of_other_kinds_are_refused_by_name(value):
    with pytest.raises(InvalidRequest, match=r"inputs\[1\].parameters.content_type: a string, number or bool"):
        from_json(NUMBER, {**TEXT, "parameters": {"content_type": value}})
