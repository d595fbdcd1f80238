"""The Open Inference Protocol v2 in, with Triton's extensions."""
