"""TorchServe's gRPC front door: ``InferenceAPIsService`` and ``ManagementAPIsService``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import replace

import orjson

from gateway.codecs import torchserve_grpc as codec
from gateway.codecs import torchserve_request
from gateway.codecs.oip_http import HEADER_LENGTH, parse_header_length
from gateway.codecs.torchserve_parts import Part, join_multipart
from gateway.codecs.torchserve_response import encode_answer
from gateway.core.catalog import ServedModel
from gateway.core.errors import GatewayError
from gateway.core.messages import InferRequest, RequestContext
from gateway.frontends.grpc_call import Call
from gateway.frontends.grpc_door import GRPCDoor, Handler
from gateway.frontends.grpc_edge import code_of
from gateway.frontends.torchserve import model as documents
from gateway.frontends.torchserve.operations import (
    DESCRIBE,
    GRPC_OPERATIONS,
    LIST,
    PING,
    PREDICT,
    PREDICT_BOTH,
    PREDICT_STREAM,
    REGISTER,
    SET_DEFAULT,
    UNREGISTER,
)

PROTOCOL = "torchserve-grpc"


class TorchServeGRPCDoor(GRPCDoor):
    """Both services, on one port."""

    operations = GRPC_OPERATIONS

    def handlers(self) -> Mapping[tuple[str, str], Handler]:
        return {
            PING: self._ping,
            PREDICT: self._predict,
            PREDICT_STREAM: self._predict_stream,
            PREDICT_BOTH: self._predict_both,
            DESCRIBE: self._describe,
            LIST: self._list,
            REGISTER: self._register,
            UNREGISTER: self._unregister,
            SET_DEFAULT: self._set_default,
        }

    # ---- inference

    async def _predict(self, data: bytes, context: Call) -> bytes:
        call = codec.decode_predictions(data, self.server.limits)
        return codec.encode_prediction(await self._infer(PREDICT, call, context))

    async def _predict_stream(self, messages: AsyncIterator[bytes], context: Call) -> AsyncIterator[bytes]:
        async for data in messages:  # the method takes one message
            call = codec.decode_predictions(data, self.server.limits)
            yield codec.encode_prediction(await self._infer(PREDICT_STREAM, call, context))
            return

    async def _predict_both(self, messages: AsyncIterator[bytes], context: Call) -> AsyncIterator[bytes]:
        async for data in messages:
            sequence = ""
            try:
                call = codec.decode_predictions(data, self.server.limits)
                sequence = call.sequence
                answer = codec.encode_prediction(await self._infer(PREDICT_BOTH, call, context), sequence)
            except GatewayError as error:
                # One bad message ends itself and not the stream.
                answer = codec.encode_failed_prediction(code_of(error).value[0], error.message, sequence)
            yield answer

    async def _infer(self, operation: tuple[str, str], call: codec.PredictionCall, context: Call) -> bytes:
        with self.inference(PROTOCOL, operation[1], context) as ours:
            model = documents.find(self.server, call.model, call.version)
            request, form, framed = self._decode(call.parts, model, ours)
            if not call.version:
                request.version = ""  # the one that it was decoded for is the latest; routing may know a better one
            body, _, length = encode_answer(await self.server.infer(request), form, model)
            return codec.frame_oip(body, length) if framed else body

    def _decode(
        self, parts: list[Part], model: ServedModel, context: RequestContext
    ) -> tuple[InferRequest, torchserve_request.AnswerForm, bool]:
        """The request, the form of its answer, and whether that needs the length of a JSON header in front."""
        if torchserve_request.takes_whole_bodies(model.signature):
            body, content_type = (parts[0].data, "") if len(parts) == 1 else join_multipart(parts)
            return *torchserve_request.decode_whole(body, content_type, model, context), False
        # gRPC has no headers of a message: the length that binary tensors need is an entry beside the body.
        lengths = [part for part in parts if part.name.lower() == HEADER_LENGTH.lower()]
        rest = [part for part in parts if part not in lengths]
        if len(lengths) == len(rest) == 1:
            length = parse_header_length(bytes(lengths[0].data).decode("latin-1"))
            return *torchserve_request.decode_oip(rest[0].data, length, model, context, self.server.limits), True
        request, form = torchserve_request.decode_parts(parts, model, context, self.server.limits)
        return request, _without_binary(form), False

    # ---- management

    async def _ping(self, _: bytes, __: Call) -> bytes:
        return codec.encode_health(_json({"status": documents.health(self.server)}))

    async def _describe(self, data: bytes, _: Call) -> bytes:
        return codec.encode_management(_json(documents.describe(self.server, *codec.decode_describe(data))))

    async def _list(self, data: bytes, _: Call) -> bytes:
        return codec.encode_management(_json(documents.list_models(self.server, *codec.decode_list(data))))

    async def _register(self, data: bytes, _: Call) -> bytes:
        return codec.encode_management(await documents.register(self.server, *codec.decode_register(data)))

    async def _unregister(self, data: bytes, _: Call) -> bytes:
        return codec.encode_management(await documents.unregister(self.server, *codec.decode_unregister(data)))

    async def _set_default(self, data: bytes, _: Call) -> bytes:
        return codec.encode_management(documents.set_default(self.server, *codec.decode_set_default(data)))


def _without_binary(form: torchserve_request.AnswerForm) -> torchserve_request.AnswerForm:
    """A client that sent no length would not look for one in the answer: its tensors are all JSON."""
    if form.oip is None:
        return form
    return replace(form, oip=replace(form.oip, default=False, by_name={}))


def _json(document: object) -> str:
    return orjson.dumps(document, option=orjson.OPT_INDENT_2).decode()
