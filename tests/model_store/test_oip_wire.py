import contextlib
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from gateway.core.datatypes import ITEMSIZE, NUMPY_DTYPE, Datatype
from gateway.core.tensors import Tensor
from model_store.oip_handler.wire import DTYPES, BadRequest, Spec, compose_response, parse_request

X = Spec("x", "FP32", (-1, 2))
Y = Spec("y", "FP32", (-1, 2))
NUMERIC = [datatype for datatype in Datatype if datatype is not Datatype.BYTES]
IN_JSON = [datatype for datatype in NUMERIC if datatype not in (Datatype.FP16, Datatype.BF16)]


def entry(shape=(1, 2), datatype="FP32", name="x", **more):
    return {"name": name, "datatype": datatype, "shape": list(shape), **more}


def parse(request, tail=b"", length=None, inputs=(X,), outputs=(Y,)):
    header = json.dumps(request).encode()
    return parse_request(header + tail, length or (str(len(header)) if tail else None), inputs, outputs)


@st.composite
def arrays(draw, datatypes):
    datatype = draw(st.sampled_from(datatypes))
    shape = draw(npst.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=4))
    return datatype, draw(npst.arrays(NUMPY_DTYPE[datatype], shape))


def test_the_datatypes_are_the_gateways():
    assert set(DTYPES) == {datatype.value for datatype in NUMERIC}
    for name, dtype in DTYPES.items():
        assert np.dtype(dtype) == NUMPY_DTYPE[Datatype(name)]
        assert np.dtype(dtype).itemsize == ITEMSIZE[Datatype(name)]


@given(arrays(NUMERIC))
def test_a_binary_tensor_arrives_as_the_gateway_wrote_it(case):
    datatype, array = case
    data = array.tobytes()
    tensor = Tensor("x", datatype, array.shape, data)
    request = {"inputs": [entry(array.shape, datatype.value, parameters={"binary_data_size": tensor.nbytes})]}
    spec = Spec("x", datatype.value, (-1,) * array.ndim)
    header = json.dumps(request).encode()
    parsed = parse_request(header + data, str(len(header)), [spec], [Y])
    assert parsed.inputs["x"].tobytes() == data
    assert parsed.inputs["x"].shape == tensor.to_numpy().shape


@given(arrays(NUMERIC))
def test_a_binary_answer_is_what_the_gateway_reads(case):
    datatype, array = case
    request = parse({"inputs": [entry(data=[1, 2])], "parameters": {"binary_data_output": True}})
    body, length = compose_response(request, {"y": array}, [Spec("y", datatype.value, ())], "m", "1")
    (output,) = json.loads(body[:length])["outputs"]
    tensor = Tensor("y", Datatype(output["datatype"]), tuple(output["shape"]), body[length:])
    assert output["parameters"]["binary_data_size"] == tensor.nbytes
    assert tensor.to_numpy().tobytes() == array.tobytes()


@given(arrays(IN_JSON), st.booleans())
def test_json_data_flat_or_nested_keeps_every_value(case, nested):
    datatype, array = case
    if array.dtype.kind == "f":
        array = np.nan_to_num(array)
    data = array.tolist() if nested and array.size else array.ravel().tolist()
    spec = Spec("x", datatype.value, (-1,) * array.ndim)
    parsed = parse({"inputs": [entry(array.shape, datatype.value, data=data)]}, inputs=(spec,))
    assert parsed.inputs["x"].tobytes() == array.tobytes()


@given(arrays(IN_JSON))
def test_a_json_answer_keeps_every_value(case):
    datatype, array = case
    if array.dtype.kind == "f":
        array = np.nan_to_num(array)
    request = parse({"inputs": [entry(data=[1, 2])]})
    body, length = compose_response(request, {"y": array}, [Spec("y", datatype.value, ())], "m", "1")
    assert length is None
    (output,) = json.loads(body)["outputs"]
    assert np.array(output["data"], array.dtype).reshape(output["shape"]).tobytes() == array.tobytes()


def test_json_and_binary_tensors_may_mix():
    data = np.array([[3, 4]], "<f4").tobytes()
    inputs = [Spec(name, "FP32", (-1, 2)) for name in "abc"]
    request = {
        "inputs": [
            entry(name="c", parameters={"binary_data_size": 8}),
            entry(name="a", data=[1, 2]),
            entry(name="b", parameters={"binary_data_size": 8}),
        ]
    }
    parsed = parse(request, data + data[::-1], inputs=inputs)
    assert parsed.inputs["a"].tolist() == [[1, 2]]
    assert parsed.inputs["c"].tolist() == [[3, 4]]
    assert parsed.inputs["b"].tobytes() == data[::-1]


def test_a_body_that_torchserve_has_parsed_already():
    assert parse_request({"inputs": [entry(data=[1, 2])]}, None, [X], [Y]).inputs["x"].tolist() == [[1, 2]]


def test_the_id_is_echoed_and_the_model_named():
    request = parse({"id": "r1", "inputs": [entry(data=[1, 2])]})
    body, _ = compose_response(request, {"y": np.float32([[1, 2]])}, [Y], "m", "3")
    assert json.loads(body) == {
        "id": "r1",
        "model_name": "m",
        "model_version": "3",
        "outputs": [{"name": "y", "datatype": "FP32", "shape": [1, 2], "data": [1.0, 2.0]}],
    }


@pytest.mark.parametrize(
    ("whole", "one", "expected"), [(None, None, False), (True, None, True), (True, False, False), (False, True, True)]
)
def test_binary_output_is_asked_for_by_request_or_by_output(whole, one, expected):
    request = {"inputs": [entry(data=[1, 2])]}
    if whole is not None:
        request["parameters"] = {"binary_data_output": whole}
    if one is not None:
        request["outputs"] = [{"name": "y", "parameters": {"binary_data": one}}]
    assert parse(request).outputs == [("y", expected)]


def test_outputs_come_in_the_order_asked_for():
    outputs = [Spec(name, "FP32", (-1,)) for name in "abc"]
    parsed = parse({"inputs": [entry(data=[1, 2])], "outputs": [{"name": "c"}, {"name": "a"}]}, outputs=outputs)
    assert [name for name, _ in parsed.outputs] == ["c", "a"]


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({}, "inputs: a list"),
        ({"inputs": [1]}, "inputs: a list"),
        ({"inputs": []}, r"inputs: \['x'\] missing"),
        ({"inputs": [entry(name="z", data=[1, 2])]}, "unknown input 'z'"),
        ({"inputs": [entry(data=[1, 2]), entry(data=[1, 2])]}, "duplicate name 'x'"),
        ({"inputs": [entry(datatype="FP64", data=[1, 2])]}, r"inputs\['x'\]: datatype 'FP64'"),
        ({"inputs": [entry(shape=(1, 3), data=[1, 2, 3])]}, r"shape \[1, 3\] does not match"),
        ({"inputs": [entry(shape=(2,), data=[1, 2])]}, r"shape \[2\] does not match"),
        ({"inputs": [entry(shape=(-1, 2), data=[1, 2])]}, "shape must be a list of sizes"),
        ({"inputs": [entry(shape=(True, 2), data=[1, 2])]}, "shape must be a list of sizes"),
        ({"inputs": [entry(data=[1, 2, 3])]}, r"data of shape \[3\]"),
        ({"inputs": [entry(data=[[1], [2]])]}, r"data of shape \[2, 1\]"),
        ({"inputs": [entry(data=[[1, 2], [3]])]}, "does not hold a regular array of FP32"),
        ({"inputs": [entry(data=["a", "b"])]}, "does not hold a regular array of FP32"),
        ({"inputs": [entry(data=[True, False])]}, "does not hold a regular array of FP32"),
        ({"inputs": [entry(data=[None, 1])]}, "does not hold a regular array of FP32"),
        ({"inputs": [entry(data=3)]}, "data must be a list"),
        ({"inputs": [entry()]}, "data must be a list"),
        ({"inputs": [entry(parameters=[1], data=[1, 2])]}, "parameters must be an object"),
        ({"inputs": [entry(parameters={"binary_data_size": 8})]}, "ends 8 bytes too early"),
        ({"inputs": [entry(parameters={"binary_data_size": 7})]}, "binary_data_size 7 is not the 8 bytes"),
        ({"inputs": [entry(parameters={"binary_data_size": -8})]}, "binary_data_size -8"),
        ({"inputs": [entry(data=[1, 2])], "outputs": [{"name": "q"}]}, "unknown output 'q'"),
        ({"inputs": [entry(data=[1, 2])], "outputs": [{"name": "y"}] * 2}, "outputs: duplicate"),
        ({"inputs": [entry(data=[1, 2])], "outputs": [["y"]]}, "outputs: a list"),
        ({"inputs": [entry(data=[1, 2])], "parameters": 1}, "request: parameters must be an object"),
    ],
)
def test_a_wrong_request_is_refused_with_its_field(request_, message):
    with pytest.raises(BadRequest, match=message):
        parse(request_)


@pytest.mark.parametrize("value", [-1, 256, 2**70, 1.5])
def test_integers_out_of_range_are_refused(value):
    with pytest.raises(BadRequest, match=r"inputs\['x'\]"):
        parse({"inputs": [entry((1,), "UINT8", data=[value])]}, inputs=(Spec("x", "UINT8", (-1,)),))


@pytest.mark.parametrize("value", [1e39, -1e39, 10**400])
def test_floats_out_of_range_are_refused(value):
    with pytest.raises(BadRequest, match="out of the range of FP32"):
        parse({"inputs": [entry(data=[value, 0])]})


def test_not_a_number_is_a_number():
    assert np.isnan(parse({"inputs": [entry(data=[float("nan"), 0])]}).inputs["x"][0, 0])


@pytest.mark.parametrize("datatype", ["FP16", "BF16"])
def test_half_floats_have_no_json_form(datatype):
    with pytest.raises(BadRequest, match="no JSON form"):
        parse({"inputs": [entry((1,), datatype, data=[1])]}, inputs=(Spec("x", datatype, (-1,)),))


@pytest.mark.parametrize("length", ["0", "-1", "x", "1e3", "999999", "²"])
def test_a_header_length_that_cannot_be(length):
    with pytest.raises(BadRequest, match="Inference-Header-Content-Length"):
        parse({"inputs": [entry(data=[1, 2])]}, length=length)


def test_bytes_after_the_last_tensor_are_refused():
    with pytest.raises(BadRequest, match="3 bytes are left"):
        parse({"inputs": [entry(parameters={"binary_data_size": 8})]}, b"\0" * 11)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b"[" * 100_000])
def test_what_is_no_json_object(body):
    with pytest.raises(BadRequest, match="body:"):
        parse_request(body, None, [X], [Y])


def test_batch_sizes_must_agree():
    inputs = [Spec(name, "FP32", (-1,)) for name in "ab"]
    with pytest.raises(BadRequest, match="batch sizes differ"):
        parse({"inputs": [entry((1,), name="a", data=[1]), entry((2,), name="b", data=[1, 2])]}, inputs=inputs)


def test_a_non_finite_answer_is_refused_in_json_and_carried_in_binary():
    results = {"y": np.float32([[np.nan, 1]])}
    with pytest.raises(BadRequest, match="ask for binary output"):
        compose_response(parse({"inputs": [entry(data=[1, 2])]}), results, [Y], "m", "1")
    asked = parse({"inputs": [entry(data=[1, 2])], "parameters": {"binary_data_output": True}})
    assert compose_response(asked, results, [Y], "m", "1")[0].endswith(results["y"].tobytes())


@given(st.binary(max_size=100), st.none() | st.text(max_size=5))
def test_any_body_gives_a_request_or_one_error(body, length):
    with contextlib.suppress(BadRequest):
        parse_request(body, length, [X], [Y])
