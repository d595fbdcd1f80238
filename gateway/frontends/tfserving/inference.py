"""``Classify`` and ``Regress``: from examples to results, the same over REST and gRPC.

See ``gateway.codecs.tfs_examples`` for what becomes of examples, ``gateway.codecs.tfs_results`` for what of outputs.
"""

from __future__ import annotations

from typing import Any

from gateway.codecs.tfs_examples import decode_input
from gateway.codecs.tfs_inference import ExampleTask, TaskResult
from gateway.codecs.tfs_model_spec import ModelQuery
from gateway.codecs.tfs_results import (
    classification_outputs,
    classifications,
    regression_outputs,
    regressions,
)
from gateway.core.messages import InferRequest, RequestContext
from gateway.frontends.server import Server
from gateway.frontends.tfserving.models import find, signature_called, wire_name


async def run_task(server: Server, task: ExampleTask, examples: Any, context: RequestContext) -> TaskResult:
    """What comes of ``task`` for the ``Input`` message ``examples``.

    Raises:
        GatewayError: the model is not there, the examples do not fit it, or it does not answer.
    """
    query = task.query
    model = find(server.catalog, query)
    name, signature = signature_called(model, query.signature)
    classify = task.task == "classify"
    outputs = classification_outputs(signature) if classify else regression_outputs(signature)
    inputs = decode_input(examples, signature, server.limits, prepares=model.prepare is not None)
    count = inputs[0].shape[0]
    response = await server.infer(
        InferRequest(
            model=query.name,
            version=query.version and model.version,
            label=query.label,
            signature=wire_name(model, name),
            inputs=inputs,
            outputs=outputs.names,
            context=context,
        )
    )
    answered = ModelQuery(response.model, response.version, signature=name)
    if classify:
        return TaskResult(answered, classifications(response, outputs, signature, model.labels, count))
    return TaskResult(answered, values=regressions(response, outputs, count))
