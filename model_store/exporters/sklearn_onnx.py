"""Step: ONNX from a scikit-learn estimator, through skl2onnx."""

from __future__ import annotations

import re
from typing import Any

import joblib
from onnx import TensorProto, helper
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, Int64TensorType
from skl2onnx.common.exceptions import MissingConverter, MissingShapeCalculator

from gateway.core.datatypes import Datatype
from gateway.core.signatures import Signature
from model_store.errors import BuildFailed
from model_store.exporters.forms import ESTIMATOR
from model_store.exporters.onnx_graph import finish
from model_store.exporters.workdir import step_workdir
from model_store.sources.sklearn import INPUT, LABEL, PROBABILITIES, SCORES

OPSETS = {"": 18, "ai.onnx.ml": 3}  # the newest that skl2onnx writes for every estimator
_CLASS = re.compile(r"<class '([\w.]+)'>")


def main() -> None:
    """Write ``onnx/model.onnx``."""
    work = step_workdir()
    signature = work.facts().model_signature()
    estimator, outputs = joblib.load(work.frozen / ESTIMATOR)  # the build itself wrote it
    model = _convert(estimator, outputs, signature)
    _select(model.graph, outputs)
    if outputs == [LABEL] and model.graph.output[0].type.tensor_type.elem_type == TensorProto.STRING:
        _number_labels(model, [str(name) for name in estimator.classes_])
    _flatten_labels(model.graph, signature)
    finish(model, signature, work.onnx)


def _input_type(signature: Signature) -> Any:
    (spec,) = signature.inputs
    kind = FloatTensorType if spec.datatype is Datatype.FP32 else Int64TensorType
    return kind([None, *spec.shape[1:]])


def _convert(estimator: Any, outputs: list[str], signature: Signature) -> Any:
    """The graph with classifiers' scores as one tensor, raw ones where the source has no probabilities."""
    for part in (estimator, *estimator.get_params(deep=True).values()):
        if hasattr(part, "flatten_transform"):  # skl2onnx refuses what only matters to a voting classifier's transform
            part.flatten_transform = False
    last = estimator.steps[-1][1] if hasattr(estimator, "steps") else estimator
    scores = {"raw_scores": True} if SCORES in outputs else {}
    refusal = None
    for options in (scores | {"zipmap": False}, scores, {}):
        try:
            return to_onnx(
                estimator,
                initial_types=[(INPUT, _input_type(signature))],
                options={id(last): options},
                target_opset=OPSETS,
            )
        except (MissingConverter, MissingShapeCalculator) as error:
            names = _CLASS.findall(str(error))
            raise BuildFailed(f"skl2onnx has no converter for {names[0] if names else error}") from error
        except NameError as error:  # an option that this estimator's converter does not have
            refusal = refusal or error
    raise BuildFailed(f"skl2onnx: {refusal}")


def _select(graph: Any, outputs: list[str]) -> None:
    """Keep the outputs that the source has, in its order: skl2onnx always gives label and scores of a classifier."""
    found = [*graph.output]  # their names differ from converter to converter, their order does not
    place = {LABEL: 0, PROBABILITIES: 1, SCORES: 1} if len(found) > 1 else dict.fromkeys(outputs[:1], 0)
    missing = [name for name in outputs if name not in place]
    if missing:
        names = [value.name for value in found]
        raise BuildFailed(f"skl2onnx gives the outputs {names}, and none that is {', '.join(missing)}")
    kept = [found[place[name]] for name in outputs]
    del graph.output[:]
    graph.output.extend(kept)


def _number_labels(model: Any, names: list[str]) -> None:
    """The number of each class in the place of its name."""
    (value,) = model.graph.output
    for opset in model.opset_import:
        if opset.domain == "ai.onnx.ml":  # skl2onnx writes the lowest that will do, and this needs 2
            opset.version = OPSETS["ai.onnx.ml"]
    number = f"{value.name}_number"
    encoder = {"keys_strings": names, "values_int64s": [*range(len(names))]}
    model.graph.node.append(helper.make_node("LabelEncoder", [value.name], [number], domain="ai.onnx.ml", **encoder))
    value.name = number
    value.type.tensor_type.elem_type = TensorProto.INT64


def _flatten_labels(graph: Any, signature: Signature) -> None:
    """One number a row, as in scikit-learn: outlier detectors' labels come as columns."""
    for value, spec in zip(graph.output, signature.outputs, strict=True):
        dimensions = value.type.tensor_type.shape.dim
        if len(spec.shape) != 1 or len(dimensions) != 2:
            continue
        graph.initializer.append(helper.make_tensor("one_a_row", TensorProto.INT64, [1], [-1]))
        graph.node.append(helper.make_node("Reshape", [value.name, "one_a_row"], [f"{value.name}_of_row"]))
        value.name = f"{value.name}_of_row"
        del dimensions[1:]


if __name__ == "__main__":
    main()
