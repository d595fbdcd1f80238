"""Clients of every protocol, written from the protocols and not with the gateway's codecs: oracles of what it carries.

Each is an async callable of a target, a model and a tensor ``x``; it returns the one output, or raises Refused.
"""

import base64
import json
from dataclasses import dataclass

import aiohttp
import grpc
import numpy as np

from gateway.core.datatypes import NUMPY_DTYPE, Datatype
from gateway.core.tensors import Tensor, element_count, join_bytes, split_bytes
from gateway.protos.loader import message_class

TF_NUMBERS = {
    "FP32": 1, "FP64": 2, "INT32": 3, "UINT8": 4, "INT16": 5, "INT8": 6, "BYTES": 7, "INT64": 9, "BOOL": 10,
    "BF16": 14, "UINT16": 17, "FP16": 19, "UINT32": 22, "UINT64": 23,
}  # fmt: skip
TYPED = {
    "BOOL": "bool_contents", "INT8": "int_contents", "INT16": "int_contents", "INT32": "int_contents",
    "INT64": "int64_contents", "UINT8": "uint_contents", "UINT16": "uint_contents", "UINT32": "uint_contents",
    "UINT64": "uint64_contents", "FP32": "fp32_contents", "FP64": "fp64_contents", "BYTES": "bytes_contents",
}  # fmt: skip
TF_VALUES = {
    "FP32": "float_val", "FP64": "double_val", "INT32": "int_val", "UINT8": "int_val", "INT16": "int_val",
    "INT8": "int_val", "UINT16": "int_val", "BYTES": "string_val", "INT64": "int64_val", "BOOL": "bool_val",
    "FP16": "half_val", "BF16": "half_val", "UINT32": "uint32_val", "UINT64": "uint64_val",
}  # fmt: skip


class Refused(Exception):
    """The gateway answered with an error: its status or code, and its message."""

    def __init__(self, status, message):
        super().__init__(f"{status}: {message}")
        self.status, self.message = status, message


@dataclass
class Target:
    """A gateway's ports, and the backend to ask for."""

    session: aiohttp.ClientSession
    channel: grpc.aio.Channel
    http: str
    backend: str = ""

    async def post(self, path, body, headers=()):
        """Headers and body of the answer to a POST that worked."""
        hints = {"x-gateway-backend": self.backend} if self.backend else {}
        url = f"http://{self.http}{path}"
        async with self.session.post(url, data=body, headers={**hints, **dict(headers)}) as answer:
            payload = await answer.read()
            if answer.status != 200:
                document = json.loads(payload)
                raise Refused(answer.status, document.get("error") or document["message"])
            return answer.headers, payload

    async def call(self, method, message, answer_class, **metadata):
        """The parsed answer to a unary call that worked."""
        hints = {"x-gateway-backend": self.backend} if self.backend else {}
        try:
            answer = await self.channel.unary_unary(method)(
                message.SerializeToString(), metadata=tuple({**hints, **metadata}.items()), timeout=30
            )
        except grpc.aio.AioRpcError as error:
            raise Refused(error.code(), error.details()) from None
        return answer_class.FromString(answer)


def values(tensor):
    """The elements as flat Python numbers, or bytes."""
    if tensor.datatype is Datatype.BYTES:
        return split_bytes(tensor.data, "x")
    return np.frombuffer(tensor.data, NUMPY_DTYPE[tensor.datatype]).tolist()


def tensor(name, datatype, shape, elements):
    """The reverse of ``values``."""
    datatype, shape = Datatype(datatype), tuple(int(size) for size in shape)
    if datatype is Datatype.BYTES:
        return Tensor(name, datatype, shape, join_bytes(elements))
    with np.errstate(over="ignore", invalid="ignore"):
        return Tensor(name, datatype, shape, np.array(elements, NUMPY_DTYPE[datatype]).tobytes())


def nested(elements, shape):
    """A flat list as nested ones."""
    if not shape:
        return elements[0]
    step = element_count(shape[1:])
    return [nested(elements[i * step : (i + 1) * step], shape[1:]) for i in range(shape[0])]


def flattened(data):
    """Nested lists as a flat one, and their shape."""
    if not isinstance(data, list):
        return [data], ()
    parts = [flattened(item) for item in data]
    shape = (len(data), *(parts[0][1] if parts else ()))
    return [element for part, _ in parts for element in part], shape


def _input(given, **more):
    return {"name": "x", "datatype": given.datatype.value, "shape": list(given.shape), **more}


def _extend(message, field, given):
    """Put the elements into a repeated field; floats as raw bytes, since Python's would lose which NaN it was."""
    if given.datatype in (Datatype.FP32, Datatype.FP64):
        number = message.DESCRIPTOR.fields_by_name[field].number
        size, length = given.nbytes, b""
        while size > 0x7F:
            length += bytes([size & 0x7F | 0x80])
            size >>= 7
        message.MergeFromString(bytes([number << 3 | 2]) + length + bytes([size]) + bytes(given.data))
    else:
        getattr(message, field).extend(values(given))


async def oip_json(target, model, given):
    data = values(given)
    if given.datatype is Datatype.BYTES:
        data = [element.decode("utf-8", "surrogateescape") for element in data]
    body = json.dumps({"inputs": [_input(given, data=data)]}, ensure_ascii=False).encode("utf-8", "surrogateescape")
    _, payload = await target.post(f"/v2/models/{model}/infer", body)
    (output,) = json.loads(payload)["outputs"]
    return tensor(output["name"], output["datatype"], output["shape"], output["data"])


def _binary_header(given):
    entry = _input(given, parameters={"binary_data_size": given.nbytes})
    return json.dumps({"inputs": [entry], "parameters": {"binary_data_output": True}}).encode()


def _binary_output(payload, cut):
    (output,) = json.loads(payload[:cut])["outputs"]
    data = payload[cut : cut + output["parameters"]["binary_data_size"]]
    return Tensor(output["name"], Datatype(output["datatype"]), tuple(output["shape"]), data)


async def oip_binary(target, model, given, path="/v2/models/{}/infer"):
    header = _binary_header(given)
    length = {"Inference-Header-Content-Length": str(len(header)), "Content-Type": "application/octet-stream"}
    headers, payload = await target.post(path.format(model), header + bytes(given.data), length)
    return _binary_output(payload, int(headers["Inference-Header-Content-Length"]))


async def _oip_grpc(target, model, given, fill):
    request = message_class("inference.ModelInferRequest")(model_name=model)
    fill(request, request.inputs.add(name="x", datatype=given.datatype.value, shape=given.shape))
    answer = await target.call(
        "/inference.GRPCInferenceService/ModelInfer", request, message_class("inference.ModelInferResponse")
    )
    (output,), (data,) = answer.outputs, answer.raw_output_contents
    return Tensor(output.name, Datatype(output.datatype), tuple(output.shape), data)


async def oip_grpc(target, model, given):
    return await _oip_grpc(
        target, model, given, lambda request, _: request.raw_input_contents.append(bytes(given.data))
    )


async def oip_grpc_typed(target, model, given):
    def fill(_, entry):
        field = TYPED.get(given.datatype.value, "fp32_contents")
        _extend(entry.contents, field, given)

    return await _oip_grpc(target, model, given, fill)


async def _tfs_grpc(target, model, given, fill):
    request = message_class("tensorflow.serving.PredictRequest")()
    request.model_spec.name = model
    proto = request.inputs["x"]
    proto.dtype = TF_NUMBERS[given.datatype.value]
    proto.tensor_shape.SetInParent()
    for size in given.shape:
        proto.tensor_shape.dim.add(size=size)
    fill(proto)
    answer = await target.call(
        "/tensorflow.serving.PredictionService/Predict", request, message_class("tensorflow.serving.PredictResponse")
    )
    ((name, output),) = answer.outputs.items()
    (datatype,) = (key for key, number in TF_NUMBERS.items() if number == output.dtype)
    shape = tuple(dim.size for dim in output.tensor_shape.dim)
    if datatype == "BYTES":
        return tensor(name, datatype, shape, output.string_val)
    return Tensor(name, Datatype(datatype), shape, output.tensor_content or _from_typed(output, datatype))


def _packed(proto, field):
    """``field`` of ``proto`` alone on the wire, where it is packed as the raw form is.

    As Python's numbers, which ``MergeFrom`` makes of them too, a signalling NaN would become a quiet one.
    """
    alone = type(proto)()
    alone.CopyFrom(proto)
    for described, _ in proto.ListFields():
        if described.name != field:
            alone.ClearField(described.name)
    return alone.SerializeToString()


def _from_typed(proto, datatype):
    """The raw form of the typed field, in which TensorFlow Serving answers."""
    field, itemsize = TF_VALUES[datatype], Datatype(datatype).itemsize
    given = getattr(proto, field)
    if datatype in ("FP32", "FP64", "BOOL"):
        return _packed(proto, field)[-len(given) * itemsize :] if given else b""
    return np.array(given, "<u2" if datatype in ("FP16", "BF16") else NUMPY_DTYPE[Datatype(datatype)]).tobytes()


async def tfs_grpc(target, model, given):
    def fill(proto):
        if given.datatype is Datatype.BYTES:
            proto.string_val.extend(values(given))
        else:
            proto.tensor_content = bytes(given.data)

    return await _tfs_grpc(target, model, given, fill)


async def tfs_grpc_typed(target, model, given):
    def fill(proto):
        if given.datatype in (Datatype.FP16, Datatype.BF16):
            proto.half_val.extend(np.frombuffer(given.data, "<u2").tolist())
        else:
            _extend(proto, TF_VALUES[given.datatype.value], given)

    return await _tfs_grpc(target, model, given, fill)


async def _tfs_rest(target, model, given, write, key):
    elements = values(given)
    if given.datatype is Datatype.BYTES:
        elements = [{"b64": base64.b64encode(element).decode()} for element in elements]
    _, payload = await target.post(f"/v1/models/{model}:predict", json.dumps(write(nested(elements, given.shape))))
    elements, shape = flattened(json.loads(payload)[key])
    if given.datatype is Datatype.BYTES:
        elements = [base64.b64decode(element["b64"]) for element in elements]
    return tensor("y", given.datatype, shape, elements)


async def tfs_rest_columns(target, model, given):
    return await _tfs_rest(target, model, given, lambda data: {"inputs": {"x": data}}, "outputs")


async def tfs_rest_rows(target, model, given):
    return await _tfs_rest(
        target, model, given, lambda data: {"instances": [{"x": row} for row in data]}, "predictions"
    )


async def torchserve_oip(target, model, given):
    return await oip_binary(target, model, given, "/predictions/{}")


async def torchserve_oip_grpc(target, model, given):
    header = _binary_header(given)
    request = message_class("org.pytorch.serve.grpc.inference.PredictionsRequest")(model_name=model)
    request.input["body"] = header + bytes(given.data)
    request.input["Inference-Header-Content-Length"] = str(len(header)).encode()
    answer = await target.call(
        "/org.pytorch.serve.grpc.inference.InferenceAPIsService/Predictions",
        request,
        message_class("org.pytorch.serve.grpc.inference.PredictionResponse"),
    )
    return _binary_output(answer.prediction[4:], int.from_bytes(answer.prediction[:4], "little"))
