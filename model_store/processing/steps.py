"""The steps that a manifest may declare, and what makes a sequence of them sound.

A picture is decoded, resized and cropped, then normalized and laid out; a text is tokenized; scores become
probabilities and these the top classes. Nothing else can be said, so nothing in a manifest can run code.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec

from gateway.core.datatypes import Datatype
from gateway.core.signatures import Signature, TensorSpec

Side = Annotated[int, msgspec.Meta(ge=1, le=16_384)]
Interpolation = Literal["nearest", "bilinear", "bicubic"]

_CHANNELS = {"RGB": 3, "BGR": 3, "L": 1}
_FLOATS = (Datatype.FP16, Datatype.FP32, Datatype.FP64)


class _Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="step", tag=True):
    """Base of the declared steps; ``step`` in JSON is the tag."""


class Decode(_Step, frozen=True, tag="decode"):
    """A picture's file to pixels: three channels (``BGR`` as some Keras models want them), or grey (``L``)."""

    mode: Literal["RGB", "BGR", "L"]


class Resize(_Step, frozen=True, tag="resize"):
    """To exactly ``width`` × ``height`` pixels, whatever the aspect ratio; with antialiasing."""

    width: Side
    height: Side
    interpolation: Interpolation = "bilinear"


class ResizeShortest(_Step, frozen=True, tag="resize_shortest"):
    """The shorter side to ``size`` pixels, the aspect ratio kept; as torchvision and timm do before they crop."""

    size: Side
    interpolation: Interpolation = "bilinear"


class CenterCrop(_Step, frozen=True, tag="center_crop"):
    """The middle ``width`` × ``height`` pixels; smaller pictures are refused."""

    width: Side
    height: Side


class Normalize(_Step, frozen=True, tag="normalize"):
    """``(pixel · scale − mean) / std`` with pixels 0..255; one ``mean`` and ``std`` a channel, or one for all."""

    scale: float
    mean: tuple[float, ...]
    std: tuple[float, ...]


class Layout(_Step, frozen=True, tag="layout"):
    """Order of the result's dimensions, ``HWC`` without this step; ``FLAT`` is one dimension, row by row."""

    order: Literal["CHW", "HWC", "FLAT"]


class Tokenize(_Step, frozen=True, tag="tokenize"):
    """Texts to token numbers, by a Hugging Face ``tokenizer.json``.

    Attributes:
        tokenizer: the file, relative to the model's directory.
        max_length: more tokens than these are cut off.
        ids: the input that takes the tokens' numbers.
        mask: the input that tells tokens (1) from padding (0); None when there is none.
        types: the input that takes the token types; None when there is none.
        datatype: of these inputs.
        padding: to the longest text of the batch, or always to ``max_length``.
        pad: the token that padding consists of.
    """

    tokenizer: str
    max_length: Annotated[int, msgspec.Meta(ge=1, le=131_072)]
    ids: str
    mask: str | None = None
    types: str | None = None
    datatype: Literal["INT64", "INT32"] = "INT64"
    padding: Literal["longest", "max_length"] = "longest"
    pad: str = "[PAD]"

    def inputs(self) -> list[str]:
        """Names of the model inputs that it fills."""
        return [name for name in (self.ids, self.mask, self.types) if name is not None]


class Softmax(_Step, frozen=True, tag="softmax"):
    """Scores to probabilities, over the last dimension of ``output``."""

    output: str


class TopK(_Step, frozen=True, tag="top_k"):
    """The ``k`` classes of the greatest values in ``output``, which holds one a class; with the model's labels."""

    output: str
    k: Annotated[int, msgspec.Meta(ge=1)] = 5


PictureStep = Decode | Resize | ResizeShortest | CenterCrop | Normalize | Layout
PreStep = PictureStep | Tokenize
PostStep = Softmax | TopK


def takes(steps: Sequence[PreStep]) -> Literal["pictures", "texts", "tensors"]:
    """What a model with this preprocessing is given."""
    if not steps:
        return "tensors"
    return "texts" if isinstance(steps[0], Tokenize) else "pictures"


def scores_output(steps: Sequence[PostStep]) -> str | None:
    """The output that holds one score a class; None when the model is no classifier."""
    return steps[0].output if steps else None


def asset_files(steps: Sequence[PreStep]) -> tuple[str, ...]:
    """Files in the model's directory that the steps read."""
    return tuple(step.tokenizer for step in steps if isinstance(step, Tokenize))


def check_preprocessing(steps: Sequence[PreStep], signature: Signature) -> None:
    """Raise ValueError unless ``steps`` make sense in their order and give what ``signature`` takes."""
    tokenizing = [step for step in steps if isinstance(step, Tokenize)]
    if tokenizing and len(steps) > 1:
        raise ValueError("preprocessing: tokenize must be the only step")
    if tokenizing:
        _check_text_inputs(tokenizing[0], signature)
    elif steps:
        _check_picture_steps(steps)
        _check_picture_input(steps, signature)


def check_postprocessing(steps: Sequence[PostStep], signature: Signature) -> None:
    """Raise ValueError unless ``steps`` are softmax, top_k, or both in this order, on one output of ``signature``."""
    if [step.__class__ for step in steps] not in ([], [Softmax], [TopK], [Softmax, TopK]):
        raise ValueError("postprocessing must be softmax, top_k, or softmax and then top_k")
    if len({step.output for step in steps}) > 1:
        raise ValueError("postprocessing must work on one output")
    known = [spec.name for spec in signature.outputs]
    scores = scores_output(steps)
    if scores is not None and scores not in known:
        raise ValueError(f"postprocessing: unknown output {scores!r}; the model gives {known}")


def _check_picture_steps(steps: Sequence[PreStep]) -> None:
    if not isinstance(steps[0], Decode) or any(isinstance(step, Decode) for step in steps[1:]):
        raise ValueError("preprocessing must have one decode step, and it must be the first")
    on_numbers = [isinstance(step, Normalize | Layout) for step in steps]
    if on_numbers != sorted(on_numbers):
        raise ValueError("preprocessing must resize and crop before it normalizes and lays out")
    kinds = [step.__class__ for step in steps if isinstance(step, Normalize | Layout)]
    if kinds not in ([], [Normalize], [Layout], [Normalize, Layout]):
        raise ValueError("preprocessing must normalize once at most, and then lay out once at most")
    channels = _CHANNELS[steps[0].mode]
    for step in steps:
        if isinstance(step, Normalize):
            if {len(step.mean), len(step.std)} - {1, channels}:
                raise ValueError(f"preprocessing: normalize needs one mean and std, or {channels}, one a channel")
            if 0 in step.std:
                raise ValueError("preprocessing: normalize cannot divide by a std of 0")


def _check_picture_input(steps: Sequence[PreStep], signature: Signature) -> None:
    if len(signature.inputs) != 1:
        names = [spec.name for spec in signature.inputs]
        raise ValueError(f"preprocessing: a picture fills one input, and the model takes {names}")
    (spec,) = signature.inputs
    normalized = any(isinstance(step, Normalize) for step in steps)
    if spec.datatype not in _FLOATS and (normalized or spec.datatype is not Datatype.UINT8):
        what = "a normalized picture" if normalized else "a picture"
        raise ValueError(f"preprocessing: the input {spec.name!r} of datatype {spec.datatype} cannot take {what}")
    given = _picture_shape(steps)
    if not _may_fit(given, spec):
        raise ValueError(
            f"preprocessing gives {_times(given)}, and the input {spec.name!r} takes {_times(spec.shape[1:])}"
        )


def _check_text_inputs(step: Tokenize, signature: Signature) -> None:
    specs = {spec.name: spec for spec in signature.inputs}
    filled = step.inputs()
    if sorted(filled) != sorted(specs):
        raise ValueError(f"preprocessing: tokenize fills the inputs {filled}, and the model takes {[*specs]}")
    length = step.max_length if step.padding == "max_length" else -1
    for name in filled:
        if specs[name].datatype != step.datatype:
            raise ValueError(
                f"preprocessing: tokenize gives {step.datatype}, and the input {name!r} takes {specs[name].datatype}"
            )
        if not _may_fit((length,), specs[name]) or (length == -1 and specs[name].shape[1:] != (-1,)):
            raise ValueError(
                f"preprocessing: tokenize gives {_times((length,))} numbers a text, "
                f"and the input {name!r} takes {_times(specs[name].shape[1:])}"
            )


def _picture_shape(steps: Sequence[PreStep]) -> tuple[int, ...]:
    """Of one picture's result; ``-1`` is a size that depends on the picture."""
    height = width = -1
    channels, order = 3, "HWC"
    for step in steps:
        match step:
            case Decode():
                channels = _CHANNELS[step.mode]
            case Resize() | CenterCrop():
                height, width = step.height, step.width
            case ResizeShortest():
                height = width = -1
            case Layout():
                order = step.order
    match order:
        case "CHW":
            return channels, height, width
        case "FLAT":
            return (-1 if -1 in (height, width) else math.prod((channels, height, width)),)
        case _:
            return height, width, channels


def _may_fit(shape: Sequence[int], spec: TensorSpec) -> bool:
    wanted = spec.shape[1:]
    return len(shape) == len(wanted) and all(
        -1 in pair or pair[0] == pair[1] for pair in zip(shape, wanted, strict=True)
    )


def _times(shape: Sequence[int]) -> str:
    return " × ".join("n" if size == -1 else str(size) for size in shape) or "one number"
