"""TorchServe handler that speaks Open Inference Protocol v2 bodies.

This package is copied into every ``.mar`` as it is, so it imports only itself, the standard library, numpy, and torch
or onnxruntime, whichever runs what lies beside it:

- ``signature.json``: names, datatypes and shapes;
- ``program.pt2`` (``torch.export``), ``script.pt`` (TorchScript) or ``model.onnx``: the model;
- ``settings.json``: how to run it; none means the defaults;
- ``aot.pt2``: the program compiled for the build machine's processor, when the settings want it.
"""
