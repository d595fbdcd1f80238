"""File names of a source's frozen forms, apart from the frameworks that write and read them."""

from model_store.oip_handler.runtime import GRAPH as ONNX
from model_store.oip_handler.runtime import LIBRARY as COMPILED
from model_store.oip_handler.runtime import PROGRAM, SCRIPT

# Those that go into an archive have their names there already.
__all__ = ["COMPILED", "ESTIMATOR", "KERAS", "ONNX", "PROGRAM", "SAVED_MODEL", "SCRIPT"]

KERAS = "model.keras"
SAVED_MODEL = "savedmodel"
ESTIMATOR = "estimator.joblib"
