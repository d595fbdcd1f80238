"""The settings an artefact runs fastest with, measured in the build: a comparison of servers is one at their best."""

from model_store.calibration.calibrate import Calibration, Trial, calibrate

__all__ = ["Calibration", "Trial", "calibrate"]
