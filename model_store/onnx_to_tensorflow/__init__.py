"""ONNX graphs as TensorFlow graphs, made of standard operators only.

What ``translate`` gives is traced inside a ``tf.function`` and saved: a stock TensorFlow Serving loads the result, on
CPU or GPU. Every operator is one small function under ``operators/``; ``values.py`` says why convolutional nets do
not pay for ONNX's channels-first layout.
"""

from __future__ import annotations

from model_store.onnx_to_tensorflow.errors import UnsupportedOperators
from model_store.onnx_to_tensorflow.translation import translate

__all__ = ["UnsupportedOperators", "translate"]
