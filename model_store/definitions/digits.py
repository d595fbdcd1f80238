"""What the three digit models share: scikit-learn's handwritten digits as pictures, split and preprocessed."""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import cache

import numpy as np
import numpy.typing as npt
from PIL import Image

from model_store.definitions.base import Evaluation, Sample, picture_sample
from model_store.processing.image import preprocess
from model_store.processing.steps import PreStep

SEED = 7
SIDE = 28
LICENSE = "Apache-2.0 (trained here); data: UCI optical digits in scikit-learn (CC BY 4.0)"


def digit_picture(digit: npt.NDArray[np.float64]) -> bytes:
    """An 8×8 digit of values 0..16 as a PNG of 28×28 grey pixels, white on black."""
    small = Image.fromarray(np.round(digit * (255 / 16)).astype(np.uint8))
    buffer = io.BytesIO()
    small.resize((SIDE, SIDE), Image.Resampling.BILINEAR).save(buffer, "PNG")
    return buffer.getvalue()


def labels() -> list[str]:
    """The ten digits."""
    return [str(digit) for digit in range(10)]


def training_set(steps: Sequence[PreStep]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """80 % of the digits and their classes, through the declared preprocessing: trained on what will be served."""
    pictures, _, classes, _ = _split()
    return _arrays(pictures, steps), classes


def held_out(input_name: str, steps: Sequence[PreStep]) -> Evaluation:
    """The other 20 %."""
    _, pictures, _, classes = _split()
    return Evaluation({input_name: _arrays(pictures, steps)}, classes)


def samples(input_name: str, steps: Sequence[PreStep]) -> Sequence[Sample]:
    """The first held-out picture of each digit."""
    _, pictures, _, classes = _split()
    first = [int(np.argmax(classes == digit)) for digit in range(10)]
    return [picture_sample(f"digit-{classes[i]}", pictures[i], input_name, steps) for i in first]


@cache
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


def _arrays(pictures: Sequence[bytes], steps: Sequence[PreStep]) -> npt.NDArray[np.float32]:
    return np.stack([preprocess(picture, steps) for picture in pictures])
