import msgspec
import pytest
from support.manifests import make_signature

from model_store.processing.steps import (
    CenterCrop,
    Decode,
    Layout,
    Normalize,
    PostStep,
    PreStep,
    Resize,
    ResizeShortest,
    Softmax,
    Tokenize,
    TopK,
    asset_files,
    check_postprocessing,
    check_preprocessing,
    scores_output,
    takes,
)

IMAGENET = (
    Decode("RGB"),
    ResizeShortest(256, "bicubic"),
    CenterCrop(224, 224),
    Normalize(1 / 255, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    Layout("CHW"),
)
PICTURE = [("x", "FP32", (-1, 3, 224, 224))]
TOKENS = Tokenize("tokenizer.json", 8, "ids", "mask")
TEXT = [("ids", "INT64", (-1, -1)), ("mask", "INT64", (-1, -1))]


def signature(inputs):
    return make_signature(inputs, [("y", "FP32", (-1, 3)), ("z", "FP32", (-1, 3))])


@pytest.mark.parametrize(
    ("steps", "inputs"),
    [
        ((), PICTURE),
        (IMAGENET, PICTURE),
        (IMAGENET, [("x", "FP16", (-1, -1, -1, -1))]),
        (IMAGENET, [("x", "FP32", (1, 3, 224, 224))]),
        ((Decode("BGR"), Resize(4, 5), Normalize(1, (1.0,) * 3, (1.0,))), [("x", "FP32", (-1, 5, 4, 3))]),
        ((Decode("RGB"), Resize(4, 5)), [("x", "UINT8", (-1, 5, 4, 3))]),
        ((Decode("RGB"),), [("x", "UINT8", (-1, -1, -1, 3))]),
        ((Decode("L"), Resize(4, 5), Layout("FLAT")), [("x", "FP32", (-1, 20))]),
        ((TOKENS,), TEXT),
        ((TOKENS,), TEXT[::-1]),
        ((Tokenize("t", 8, "ids", datatype="INT32", padding="max_length"),), [("ids", "INT32", (-1, 8))]),
    ],
)
def test_sound_preprocessing_passes(steps, inputs):
    check_preprocessing(steps, signature(inputs))


@pytest.mark.parametrize(
    ("steps", "inputs", "problem"),
    [
        (IMAGENET[1:], PICTURE, "one decode step"),
        ((*IMAGENET, Decode("L")), PICTURE, "one decode step"),
        ((Decode("RGB"), Layout("CHW"), Resize(1, 1)), PICTURE, "resize and crop before"),
        ((Decode("RGB"), Layout("CHW"), Layout("CHW")), PICTURE, "once at most"),
        ((Decode("RGB"), Layout("CHW"), IMAGENET[3]), PICTURE, "once at most"),
        ((Decode("L"), IMAGENET[3]), PICTURE, "one mean and std, or 1, one a channel"),
        ((Decode("RGB"), Normalize(1, (0.0,), (0.0,))), PICTURE, "std of 0"),
        (IMAGENET, TEXT, r"fills one input, and the model takes \['ids', 'mask'\]"),
        (IMAGENET, [("x", "UINT8", (-1, 3, 224, 224))], "UINT8 cannot take a normalized picture"),
        ((Decode("RGB"),), [("x", "INT64", (-1, -1, -1, 3))], "INT64 cannot take a picture"),
        (IMAGENET, [("x", "FP32", (-1, 224, 224, 3))], "gives 3 × 224 × 224, and the input 'x' takes 224 × 224 × 3"),
        (IMAGENET, [("x", "FP32", (-1, 150528))], "gives 3 × 224 × 224, and the input 'x' takes 150528"),
        ((*IMAGENET[:2], Layout("FLAT")), PICTURE, "gives n, and the input 'x' takes 3 × 224 × 224"),
        ((TOKENS, TOKENS), TEXT, "the only step"),
        ((Decode("RGB"), TOKENS), TEXT, "the only step"),
        ((TOKENS,), TEXT[:1], r"fills the inputs \['ids', 'mask'\], and the model takes \['ids'\]"),
        ((TOKENS,), [TEXT[0], ("mask", "INT32", (-1, -1))], "gives INT64, and the input 'mask' takes INT32"),
        ((TOKENS,), [TEXT[0], ("mask", "INT64", (-1, 8))], "gives n numbers a text, and the input 'mask' takes 8"),
        ((TOKENS,), [TEXT[0], ("mask", "INT64", (-1,))], "'mask' takes one number"),
    ],
)
def test_unsound_preprocessing_is_explained(steps, inputs, problem):
    with pytest.raises(ValueError, match=problem):
        check_preprocessing(steps, signature(inputs))


@pytest.mark.parametrize(
    ("steps", "scores"),
    [((), None), ((Softmax("y"),), "y"), ((TopK("z"),), "z"), ((Softmax("y"), TopK("y")), "y")],
)
def test_sound_postprocessing_names_the_scores(steps, scores):
    check_postprocessing(steps, signature(PICTURE))
    assert scores_output(steps) == scores


@pytest.mark.parametrize(
    ("steps", "problem"),
    [
        ((TopK("y"), Softmax("y")), "softmax and then top_k"),
        ((Softmax("y"), Softmax("y")), "softmax and then top_k"),
        ((Softmax("y"), TopK("z")), "on one output"),
        ((Softmax("q"),), r"unknown output 'q'; the model gives \['y', 'z'\]"),
    ],
)
def test_unsound_postprocessing_is_explained(steps, problem):
    with pytest.raises(ValueError, match=problem):
        check_postprocessing(steps, signature(PICTURE))


def test_what_a_model_takes():
    assert [takes(steps) for steps in ((), IMAGENET, (TOKENS,))] == ["tensors", "pictures", "texts"]
    assert [asset_files(steps) for steps in ((), IMAGENET, (TOKENS,))] == [(), (), ("tokenizer.json",)]


@pytest.mark.parametrize("steps", [IMAGENET, (TOKENS,)])
def test_steps_survive_json(steps):
    assert msgspec.json.decode(msgspec.json.encode(steps), type=tuple[PreStep, ...]) == steps


@pytest.mark.parametrize(
    "document",
    [
        {"step": "python", "code": "import os"},
        {"step": "decode", "mode": "CMYK"},
        {"step": "decode", "mode": "RGB", "code": "import os"},
        {"step": "resize", "width": 10**9, "height": 1},
        {"step": "resize", "width": 1, "height": 1, "interpolation": "lanczos"},
        {"step": "tokenize", "tokenizer": "t", "max_length": 0, "ids": "i"},
        {"step": "softmax", "output": "y"},
    ],
)
def test_the_set_is_closed(document):
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert([document], tuple[PreStep, ...])


def test_a_top_k_of_nothing_is_refused():
    with pytest.raises(msgspec.ValidationError, match=">= 1"):
        msgspec.convert([{"step": "top_k", "output": "y", "k": 0}], tuple[PostStep, ...])
