"""The operators of ai.onnx.ml, one module a family."""
