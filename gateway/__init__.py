"""A unified gateway in front of TorchServe, TensorFlow Serving and ONNX Runtime."""

__version__ = "0.1.0"
