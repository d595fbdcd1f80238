"""TensorFlow operators that tf2onnx does not know, in terms of those of ONNX. Importing this teaches it."""

from __future__ import annotations

from typing import Any

import numpy as np
from tf2onnx import utils
from tf2onnx.handler import tf_op


@tf_op("Erfc")
class Erfc:
    """``1 - erf(x)``: what the exact GELU is made of."""

    @classmethod
    def version_9(cls, graph: Any, node: Any, **_: Any) -> None:
        """Write it; from ONNX's opset 9 on, which has Erf."""
        shape, dtype = graph.get_shape(node.output[0]), graph.get_dtype(node.output[0])
        one = graph.make_const(utils.make_name("one"), np.ones((), utils.map_onnx_to_numpy_type(dtype)))
        erf = graph.make_node("Erf", [node.input[0]])
        graph.remove_node(node.name)
        graph.make_node(
            "Sub", [one.output[0], erf.output[0]], name=node.name, outputs=node.output, shapes=[shape], dtypes=[dtype]
        )
