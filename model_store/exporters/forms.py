"""File names of a source's frozen forms, apart from the frameworks that write and read them."""

PROGRAM = "program.pt2"  # torch.export
COMPILED = "aot.pt2"  # the program, compiled by AOTInductor
SCRIPT = "script.pt"  # TorchScript
KERAS = "model.keras"
SAVED_MODEL = "savedmodel"
ESTIMATOR = "estimator.joblib"
ONNX = "model.onnx"
