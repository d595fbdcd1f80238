"""A unified gateway in front of TorchServe, TensorFlow Serving and ONNX Runtime."""

import os

__version__ = "0.1.0"

# The gRPC library logs what clients send it that is no HTTP/2, word by word, into a log that is ours and structured. It
# reads this when it is first imported.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
