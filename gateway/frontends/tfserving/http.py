"""TensorFlow Serving's REST front door."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from gateway.codecs import tfs_rest as codec
from gateway.codecs import tfs_rest_examples as examples_codec
from gateway.codecs.tfs_inference import ExampleTask, TaskResult
from gateway.codecs.tfs_metadata import metadata_document
from gateway.codecs.tfs_model_spec import ModelQuery, version_number
from gateway.codecs.tfs_status import status_document
from gateway.core import errors
from gateway.core.messages import InferRequest
from gateway.core.signatures import Task
from gateway.frontends.http_door import JSON, STATUS, Exchange, Handler, HTTPDoor, json_reply
from gateway.frontends.operations import Operation
from gateway.frontends.tfserving.inference import run_task
from gateway.frontends.tfserving.models import find, signature_called, signatures, statuses, wire_name
from gateway.http1.reply import Reply

_MODEL = tuple(f"/v1/models/{{name}}{version}" for version in ("", "/versions/{version}", "/labels/{label}"))


def _inferences(verb: str, summary: str) -> list[Operation]:
    return [Operation("POST", f"{prefix}:{verb}", summary, inference=True) for prefix in _MODEL]


class TFServingDoor(HTTPDoor):
    """``/v1``."""

    segment = r"[^/:]+"
    statuses: ClassVar = {**STATUS, errors.Overloaded: 429}
    operations = (
        *_inferences("predict", "inference, in row or columnar form"),
        *_inferences("classify", "labels and scores of examples"),
        *_inferences("regress", "a value for each example"),
        *[Operation("GET", prefix, "state of the versions") for prefix in _MODEL],
        *[Operation("GET", f"{prefix}/metadata", "signatures") for prefix in _MODEL],
    )

    def handlers(self) -> Mapping[tuple[str, str], Handler]:
        handlers: dict[tuple[str, str], Handler] = {}
        for prefix in _MODEL:
            handlers |= {
                ("POST", f"{prefix}:predict"): self._predict,
                ("POST", f"{prefix}:classify"): self._classify,
                ("POST", f"{prefix}:regress"): self._regress,
                ("GET", prefix): self._status,
                ("GET", f"{prefix}/metadata"): self._metadata,
            }
        return handlers

    def unrouted(self, method: str, path: str, allowed: Sequence[str]) -> Reply:  # noqa: ARG002
        """Whatever else is below ``/v1`` is malformed in TensorFlow Serving's eyes, wrong verbs too."""
        return self.refuse(errors.InvalidRequest(f"Malformed request: {method} {path[:200]}"))

    async def _predict(self, exchange: Exchange) -> Reply:
        context = self.begin("tfserving-rest", exchange)
        query = _query(exchange)
        model = find(self.server.catalog, query)
        body = codec.parse_predict_body(exchange.body, model.signature, self.server.limits)
        name, signature = signature_called(model, body.signature)
        if signature is not model.signature:
            body = codec.parse_predict_body(exchange.body, signature, self.server.limits)
        request = InferRequest(
            model=query.name,
            version=query.version and model.version,
            label=query.label,
            signature=wire_name(model, name),
            inputs=codec.decode_inputs(body, signature, self.server.limits, prepares=model.prepare is not None),
            context=context,
        )
        return Reply(codec.encode_predict_response(await self.server.infer(request), rows=body.rows), JSON)

    async def _classify(self, exchange: Exchange) -> Reply:
        result = await self._run_task(exchange, "classify")
        return Reply(examples_codec.encode_classifications(result.classes or ()), JSON)

    async def _regress(self, exchange: Exchange) -> Reply:
        result = await self._run_task(exchange, "regress")
        return Reply(examples_codec.encode_regressions(result.values), JSON)

    async def _run_task(self, exchange: Exchange, task: Task) -> TaskResult:
        context = self.begin("tfserving-rest", exchange)
        signature, examples = examples_codec.decode_examples(exchange.body, self.server.limits)
        return await run_task(self.server, ExampleTask(_query(exchange, signature), task), examples, context)

    async def _status(self, exchange: Exchange) -> Reply:
        return json_reply(status_document(statuses(self.server, _query(exchange))))

    async def _metadata(self, exchange: Exchange) -> Reply:
        model = find(self.server.catalog, _query(exchange))
        return json_reply(metadata_document(model.name, model.version, signatures(model)))


def _query(exchange: Exchange, signature: str = "") -> ModelQuery:
    named = exchange.parameters
    version = named.get("version", "")
    if version and version_number(version) is None:
        raise errors.InvalidRequest(f"Failed to convert version: {version[:40]} to numeric.")
    return ModelQuery(named["name"], str(int(version)) if version else "", named.get("label", ""), signature)
