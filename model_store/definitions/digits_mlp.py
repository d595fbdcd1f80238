"""The classic 784→128→10 net, trained in the build on scikit-learn's handwritten digits."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from gateway.core.datatypes import Datatype
from gateway.core.signatures import Signature, TensorSpec
from model_store.definitions.base import ModelDefinition, Sample, TorchSource, picture_sample
from model_store.manifest import Classification
from model_store.preprocess import Decode, Layout, Normalize, Resize, preprocess

SEED = 7
EPOCHS = 30
BATCH = 64
SIDE = 28

PREPROCESSING = (
    Decode("L"),
    Resize(SIDE, SIDE),
    Normalize(scale=1 / 255, mean=(0.0,), std=(1.0,)),
    Layout("FLAT"),
)


def digit_picture(digit: npt.NDArray[np.float64]) -> bytes:
    """An 8×8 digit of values 0..16 as a PNG of 28×28 grey pixels, white on black."""
    small = Image.fromarray(np.round(digit * (255 / 16)).astype(np.uint8))
    buffer = io.BytesIO()
    small.resize((SIDE, SIDE), Image.Resampling.BILINEAR).save(buffer, "PNG")
    return buffer.getvalue()


def labels() -> list[str]:
    """The ten digits."""
    return [str(digit) for digit in range(10)]


def samples() -> Sequence[Sample]:
    """The first held-out picture of each digit."""
    _, pictures, _, classes = _split()
    first = [int(np.argmax(classes == digit)) for digit in range(10)]
    return [picture_sample(f"digit-{classes[i]}", pictures[i], "input", PREPROCESSING) for i in first]


def source() -> TorchSource:
    """Train on 80 % of the digits; the accuracy is measured on the other 20 %."""
    import torch

    torch.manual_seed(SEED)
    train_pictures, test_pictures, train_classes, test_classes = _split()
    inputs, targets = _tensor(train_pictures), torch.from_numpy(train_classes)
    module = torch.nn.Sequential(torch.nn.Linear(SIDE * SIDE, 128), torch.nn.ReLU(), torch.nn.Linear(128, 10))
    optimizer = torch.optim.Adam(module.parameters(), lr=2e-3)
    loss = torch.nn.CrossEntropyLoss()
    for _ in range(EPOCHS):
        for batch in torch.randperm(len(inputs)).split(BATCH):
            optimizer.zero_grad()
            loss(module(inputs[batch]), targets[batch]).backward()
            optimizer.step()
    with torch.inference_mode():
        right = module(_tensor(test_pictures)).argmax(1) == torch.from_numpy(test_classes)
    return TorchSource(module, metrics={"test_accuracy": round(float(right.float().mean()), 4)})


def _split() -> tuple[list[bytes], list[bytes], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Pictures to train on, pictures held out, and the classes of both."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    digits = load_digits()
    pictures = [digit_picture(image) for image in digits.images]
    train, test, train_classes, test_classes = train_test_split(
        pictures, digits.target.astype(np.int64), test_size=0.2, random_state=SEED, stratify=digits.target
    )
    return train, test, train_classes, test_classes


def _tensor(pictures: Sequence[bytes]) -> Any:
    import torch

    # Through the declared preprocessing, so that the model is trained on what it will be served.
    return torch.from_numpy(np.stack([preprocess(picture, PREPROCESSING) for picture in pictures]))


MODEL = ModelDefinition(
    name="digits-mlp",
    version="1",
    description="784→128→10 ReLU net, handwritten digits scaled to 28×28",
    license="Apache-2.0 (trained here); data: UCI optical digits in scikit-learn (CC BY 4.0)",
    signature=Signature(
        inputs=(TensorSpec("input", Datatype.FP32, (-1, SIDE * SIDE)),),
        outputs=(TensorSpec("logits", Datatype.FP32, (-1, 10)),),
    ),
    max_batch_size=128,
    preprocessing=PREPROCESSING,
    classification=Classification(output="logits", activation="softmax"),
    tolerance=5e-5,
    packages=("scikit-learn",),
    labels=labels,
    samples=samples,
    source=source,
)
