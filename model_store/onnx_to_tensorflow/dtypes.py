"""ONNX's element types in TensorFlow."""

from __future__ import annotations

from typing import Any

import onnx
import tensorflow as tf

from model_store.onnx_to_tensorflow.errors import UnsupportedOperators

_PROTO = onnx.TensorProto
_DTYPES = {
    _PROTO.FLOAT: tf.float32,
    _PROTO.DOUBLE: tf.float64,
    _PROTO.FLOAT16: tf.float16,
    _PROTO.BFLOAT16: tf.bfloat16,
    _PROTO.INT8: tf.int8,
    _PROTO.INT16: tf.int16,
    _PROTO.INT32: tf.int32,
    _PROTO.INT64: tf.int64,
    _PROTO.UINT8: tf.uint8,
    _PROTO.UINT16: tf.uint16,
    _PROTO.UINT32: tf.uint32,
    _PROTO.UINT64: tf.uint64,
    _PROTO.BOOL: tf.bool,
    _PROTO.STRING: tf.string,
    _PROTO.COMPLEX64: tf.complex64,
    _PROTO.COMPLEX128: tf.complex128,
}


def tf_dtype(data_type: int) -> Any:
    """The TensorFlow type of an ONNX element type.

    Raises:
        UnsupportedOperators: TensorFlow has no arithmetic for it.
    """
    if data_type not in _DTYPES:
        raise UnsupportedOperators(f"tensors of type {_PROTO.DataType.Name(data_type)}")
    return _DTYPES[data_type]
