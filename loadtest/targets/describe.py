"""What a model that is in no store takes and gives, as its server tells it."""

from __future__ import annotations

import http.client
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import grpc
import msgspec
from google.protobuf.message import DecodeError

from gateway.codecs import oip_grpc, oip_http, tfs_grpc, tfs_metadata, tfs_rest_client
from gateway.codecs.tfs_metadata import Learned
from gateway.codecs.tfs_model_spec import DEFAULT_SIGNATURE, ModelQuery
from gateway.codecs.torchserve_payload import WHOLE_BODIES
from gateway.core.datatypes import parse_datatype
from gateway.core.errors import GatewayError
from gateway.core.signatures import Signature, TensorSpec
from gateway.protos.loader import message_class
from loadtest.errors import Failed, LoadTestError, Unusable
from loadtest.payloads.workload import MeasuredModel
from loadtest.targets.target import Protocol, Target, Wire

_UNKNOWN = (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.INVALID_ARGUMENT)
_OIP_METADATA = f"/{oip_grpc.SERVICE}/ModelMetadata"
_MetadataRequest = message_class("inference.ModelMetadataRequest")
_MetadataResponse = message_class("inference.ModelMetadataResponse")


class _Tensor(msgspec.Struct):
    name: str
    datatype: str
    shape: list[int]


class _Metadata(msgspec.Struct):
    inputs: list[_Tensor] = []
    outputs: list[_Tensor] = []


def describe(target: Target, model: str, version: str = "", *, timeout: float = 10.0) -> MeasuredModel:
    """``model`` as the server at ``target`` describes it; TorchServe describes none: its models take whole bodies.

    Raises:
        Unusable: it has no such model, or one that cannot be measured.
        Failed: no answer within ``timeout`` seconds, or none that can be read.
    """
    ask = _ASK.get((target.wire, target.protocol))
    signature = WHOLE_BODIES if ask is None else ask(_Server(target, model, timeout), version)
    return MeasuredModel(model, version, signature, class_output="", checksums={})


def describer(targets: Sequence[Target], *, timeout: float = 10.0) -> Callable[[str, str], MeasuredModel]:
    """Model and version → its description by the first of ``targets`` that gives one; raises as ``describe``.

    Those whose protocol tells are asked before TorchServe, whose answer is that nothing is known.
    """
    telling = [target for target in targets if (target.wire, target.protocol) in _ASK]
    others = [target for target in targets if target not in telling]

    def ask(model: str, version: str) -> MeasuredModel:
        first: LoadTestError | None = None
        for target in telling or others:
            try:
                return describe(target, model, version, timeout=timeout)
            except (Failed, Unusable) as error:
                first = first or error
        raise first or Unusable(f"there is no server to ask what model {model!r} takes")

    return ask


class _Server:
    """One server that is asked about one model."""

    def __init__(self, target: Target, model: str, timeout: float) -> None:
        self.model = model
        self._target = target
        self._timeout = timeout

    def get(self, path: str) -> bytes:
        """The body at ``path``."""
        host, _, port = self._target.address.rpartition(":")
        connection = http.client.HTTPConnection(host.strip("[]"), int(port), timeout=self._timeout)
        with closing(connection):
            try:
                connection.request("GET", path, headers=dict(self._authorization("Authorization")))
                answer = connection.getresponse()
                body = answer.read()
            except (OSError, http.client.HTTPException) as error:
                raise self._failed(str(error) or type(error).__name__) from None
        if answer.status in (400, 404):  # 400 is Triton's word for an unknown model
            raise self.lacks(body.decode("utf-8", "replace"))
        if answer.status != 200:
            raise self._failed(f"HTTP {answer.status}")
        return body

    def call(self, method: str, message: bytes) -> bytes:
        """The message that ``method`` answers."""
        with grpc.insecure_channel(self._target.address, options=(("grpc.enable_http_proxy", 0),)) as channel:
            try:
                answer: bytes = channel.unary_unary(method)(
                    message, timeout=self._timeout, metadata=self._authorization("authorization")
                )
            except grpc.RpcError as error:
                if error.code() in _UNKNOWN:
                    raise self.lacks(error.details() or "") from None
                raise self._failed(f"{error.code().name}, {error.details()}") from None
        return answer

    def read(self, decode: Callable[[], Any]) -> Any:
        """What ``decode`` makes of an answer."""
        try:
            return decode()
        except (GatewayError, msgspec.MsgspecError, DecodeError) as error:
            raise self._failed(f"its answer cannot be read: {error}") from None

    def lacks(self, reason: str) -> Unusable:
        """The error for a model that the server does not have, or not in a form that can be measured."""
        return Unusable(f"{self._target.name} has no model {self.model!r} that can be measured: {reason[:200]}")

    def _failed(self, reason: str) -> Failed:
        return Failed(f"{self._target.name} does not tell what model {self.model!r} takes: {reason}")

    def _authorization(self, name: str) -> list[tuple[str, str]]:
        return [(name, f"Bearer {self._target.token}")] if self._target.token else []


def _oip_over_http(server: _Server, version: str) -> Signature:
    body = server.get(oip_http.infer_path(server.model, version).removesuffix("/infer"))
    metadata: _Metadata = server.read(lambda: msgspec.json.decode(body, type=_Metadata))
    return _signature(server, metadata.inputs, metadata.outputs)


def _oip_over_grpc(server: _Server, version: str) -> Signature:
    message = _MetadataRequest(name=server.model, version=version).SerializeToString()
    body = server.call(_OIP_METADATA, message)
    metadata = server.read(lambda: _MetadataResponse.FromString(body))
    return _signature(server, metadata.inputs, metadata.outputs)


def _signature(server: _Server, inputs: Iterable[Any], outputs: Iterable[Any]) -> Signature:
    def spec(tensor: Any) -> TensorSpec:
        shape = tuple(max(size, -1) for size in tensor.shape)
        return TensorSpec(tensor.name, parse_datatype(tensor.datatype, repr(tensor.name)), shape)

    signature: Signature = server.read(lambda: Signature(tuple(map(spec, inputs)), tuple(map(spec, outputs))))
    if not signature.inputs:
        raise server.lacks("the server does not tell its inputs")
    return signature


def _tfserving_over_http(server: _Server, version: str) -> Signature:
    body = server.get(f"{tfs_rest_client.model_path(server.model, quote(version, safe=''))}/metadata")
    document = server.read(lambda: tfs_rest_client.decode_document(body))
    return _default(server, server.read(lambda: tfs_metadata.decode_metadata_document(document)))


def _tfserving_over_grpc(server: _Server, version: str) -> Signature:
    message = tfs_metadata.encode_metadata_request(ModelQuery(server.model, version))
    body = server.call(tfs_grpc.METADATA_METHOD, message)
    return _default(server, server.read(lambda: tfs_metadata.decode_metadata_response(body)))


def _default(server: _Server, signatures: Mapping[str, Learned]) -> Signature:
    signature = signatures.get(DEFAULT_SIGNATURE)
    if signature is None:
        raise server.lacks(f"signature {DEFAULT_SIGNATURE!r} is asked for, and it has {sorted(signatures)}")
    if isinstance(signature, str):
        raise server.lacks(signature)
    # The server itself holds requests to the declared shapes less strictly; payloads that fit are made all the same.
    return replace(signature, inputs=tuple(replace(spec, advisory=False) for spec in signature.inputs))


_ASK: Mapping[tuple[Wire, Protocol], Callable[[_Server, str], Signature]] = {
    ("oip", "HTTP"): _oip_over_http,
    ("oip-json", "HTTP"): _oip_over_http,
    ("oip", "gRPC"): _oip_over_grpc,
    ("tfserving", "HTTP"): _tfserving_over_http,
    ("tfserving", "gRPC"): _tfserving_over_grpc,
}
