"""What each engine can be given and can give, through its Python interface."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.core.capabilities import Capabilities
from gateway.core.datatypes import Datatype

_NUMPY_RANK = 64  # arrays have no more dimensions

CAPABILITIES: Mapping[str, Capabilities] = {
    "onnxruntime": Capabilities(
        refused={Datatype.BF16: "ONNX Runtime gives and takes no such arrays"},
        text_only="ONNX Runtime's strings are text",
        max_rank=_NUMPY_RANK,
    ),
    "tensorflow": Capabilities(max_rank=_NUMPY_RANK),
    "pytorch": Capabilities(refused={Datatype.BYTES: "PyTorch has no strings"}, max_rank=_NUMPY_RANK),
}
