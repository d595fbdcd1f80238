"""A unified gateway in front of TorchServe, TensorFlow Serving and ONNX Runtime."""

import os

__version__ = "0.1.0"

# The gRPC library, which backends are called through, writes lines of its own into our structured log. It reads this
# when it is first imported.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
