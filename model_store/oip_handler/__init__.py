"""TorchServe handler that speaks Open Inference Protocol v2 bodies.

This package is copied into every ``.mar`` as it is, so it imports only itself, the standard library, numpy and torch.
"""
