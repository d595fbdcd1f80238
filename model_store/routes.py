"""Which conversions lead from each framework to each server, best first.

A route that fails, or whose artefact does not agree with the source, gives way to the next one.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from model_store.exporters import forms

TORCHSERVE, TENSORFLOW, ONNX = "torchserve", "tensorflow", "onnx"
TARGETS = (ONNX, TENSORFLOW, TORCHSERVE)  # in the order they are made: the others may start from the ONNX file


@dataclass(slots=True, frozen=True)
class Step:
    """One program to run.

    Attributes:
        title: for people.
        module: whose ``main`` is run.
        arguments: come after the model's and the scratch directory.
        environment: on top of ours.
        optional: the route goes on without it: it makes something better, not possible.
    """

    title: str
    module: str
    arguments: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    optional: bool = False


@dataclass(slots=True, frozen=True)
class Route:
    """One way to one artefact.

    Attributes:
        name: for people and the manifest.
        steps: run one after the other.
        form: the frozen form it starts from; empty when it starts from the ONNX artefact.
        advice: what a user can do when it does not work.
    """

    name: str
    steps: tuple[Step, ...]
    form: str
    advice: str = ""


def _mar(payload: str) -> Step:
    return Step("TorchServe archive", "model_store.exporters.torchserve", (payload,))


_REWRITE = "rewrite the operator with others, or serve the model without this server"
_ONNX_IN_MAR = Route("ONNX in archive", (_mar("onnx"),), "")
_ONNX_TO_TF = Route(
    "ONNX → TensorFlow", (Step("TensorFlow from ONNX", "model_store.exporters.tensorflow"),), "", _REWRITE
)
_PROGRAM_ONNX = Step("ONNX from PyTorch", "model_store.exporters.torch_onnx", ("program",))
_SCRIPT_ONNX = Step("ONNX from TorchScript", "model_store.exporters.torch_onnx", ("script",))
_TF_ONNX = Route(
    "tf2onnx", (Step("ONNX from TensorFlow", "model_store.exporters.tf_onnx"),), forms.SAVED_MODEL, _REWRITE
)
_SAVED_MODEL = Route(
    "SavedModel", (Step("TensorFlow SavedModel", "model_store.exporters.savedmodel"),), forms.SAVED_MODEL
)
_AOT = Step("Ahead-of-time compilation", "model_store.exporters.aot", optional=True)
_KERAS_ON_TORCH = Step("Keras on PyTorch", "model_store.exporters.keras_torch", environment={"KERAS_BACKEND": "torch"})

ROUTES: dict[str, dict[str, tuple[Route, ...]]] = {
    "pytorch": {
        ONNX: (
            Route("torch.onnx", (_PROGRAM_ONNX,), forms.PROGRAM, _REWRITE),
            Route("torch.onnx of TorchScript", (_SCRIPT_ONNX,), forms.SCRIPT, _REWRITE),
        ),
        TENSORFLOW: (_ONNX_TO_TF,),
        TORCHSERVE: (
            Route("torch.export", (_AOT, _mar("program")), forms.PROGRAM),
            Route("TorchScript", (_mar("script"),), forms.SCRIPT),
            _ONNX_IN_MAR,
        ),
    },
    "keras": {
        ONNX: (_TF_ONNX, Route("Keras on PyTorch", (_KERAS_ON_TORCH, _PROGRAM_ONNX), forms.KERAS, _REWRITE)),
        TENSORFLOW: (_SAVED_MODEL, _ONNX_TO_TF),
        TORCHSERVE: (Route("Keras on PyTorch", (_KERAS_ON_TORCH, _AOT, _mar("program")), forms.KERAS), _ONNX_IN_MAR),
    },
    "tensorflow": {ONNX: (_TF_ONNX,), TENSORFLOW: (_SAVED_MODEL, _ONNX_TO_TF), TORCHSERVE: (_ONNX_IN_MAR,)},
    "scikit-learn": {
        ONNX: (
            Route(
                "skl2onnx",
                (Step("ONNX from scikit-learn", "model_store.exporters.sklearn_onnx"),),
                forms.ESTIMATOR,
                "use an estimator that skl2onnx knows (see its list of supported models)",
            ),
        ),
        TENSORFLOW: (_ONNX_TO_TF,),
        TORCHSERVE: (_ONNX_IN_MAR,),
    },
    "onnx": {
        ONNX: (Route("as it is", (Step("ONNX file", "model_store.exporters.onnx_copy"),), forms.ONNX),),
        TENSORFLOW: (_ONNX_TO_TF,),
        TORCHSERVE: (_ONNX_IN_MAR,),
    },
}
