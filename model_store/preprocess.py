"""From a picture to a model's input, as the manifest declares it: a closed set of steps, no code from a manifest.

The one implementation for the command line, the gateway and the parity gate.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from model_store.errors import InvalidImage

FloatArray = npt.NDArray[np.float32]

# A picture of more pixels than this is refused before it is decoded (a decompression bomb).
MAX_PIXELS = 64_000_000


class _Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="step", tag=True):
    """Base of the declared steps; ``step`` in JSON is the tag."""


class Decode(_Step, frozen=True, tag="decode"):
    """Bytes to pixels: ``RGB`` has three channels, ``L`` is greyscale."""

    mode: Literal["RGB", "L"]


class Resize(_Step, frozen=True, tag="resize"):
    """Bilinear with antialiasing to exactly ``width`` × ``height`` pixels, whatever the aspect ratio."""

    width: int
    height: int


class CenterCrop(_Step, frozen=True, tag="center_crop"):
    """The middle ``width`` × ``height`` pixels; smaller pictures are refused."""

    width: int
    height: int


class Normalize(_Step, frozen=True, tag="normalize"):
    """``(pixel · scale − mean) / std`` with pixels 0..255; ``mean`` and ``std`` hold one value a channel."""

    scale: float
    mean: tuple[float, ...]
    std: tuple[float, ...]


class Layout(_Step, frozen=True, tag="layout"):
    """Order of the result's dimensions; ``FLAT`` is one dimension, row by row."""

    order: Literal["CHW", "HWC", "FLAT"]


Step = Decode | Resize | CenterCrop | Normalize | Layout


def load_image(source: Path | bytes) -> Image.Image:
    """The picture in a file or in bytes.

    Raises:
        InvalidImage: it is missing, no picture, truncated or too large.
    """
    name = str(source) if isinstance(source, Path) else f"the given {len(source)} bytes"
    try:
        image = Image.open(source if isinstance(source, Path) else io.BytesIO(source))
        if image.width * image.height > MAX_PIXELS:
            raise InvalidImage(f"{name}: {image.width} × {image.height} pixels are over the limit of {MAX_PIXELS}")
        image.load()
    except FileNotFoundError:
        raise InvalidImage(f"{name}: no such file") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InvalidImage(f"{name} is not a picture that can be read ({_reason(error)})") from error
    return image


def check_steps(steps: Sequence[Step]) -> None:
    """Raise ValueError unless ``steps`` are empty, or decode first, then work on the picture, then on its numbers."""
    if not steps:
        return
    if not isinstance(steps[0], Decode) or any(isinstance(step, Decode) for step in steps[1:]):
        raise ValueError("preprocessing must have one decode step, and it must be the first")
    on_pixels = [isinstance(step, Normalize | Layout) for step in steps]
    if on_pixels != sorted(on_pixels):
        raise ValueError("preprocessing must resize and crop before it normalizes and lays out")


def preprocess(image: Path | bytes, steps: Sequence[Step]) -> FloatArray:
    """The model's input for one picture, without the batch dimension.

    Args:
        image: a file or the bytes of one, in any format Pillow reads.
        steps: the manifest's ``preprocessing``, as ``check_steps`` wants it.

    Raises:
        InvalidImage: it is no picture, or too small for a crop; or the model takes no pictures.
    """
    if not steps:
        raise InvalidImage("the model declares no preprocessing: it takes tensors, not pictures")
    picture = load_image(image)
    for step in steps:
        match step:
            case Decode():
                picture = _convert(picture, step.mode)
            case Resize():
                picture = picture.resize((step.width, step.height), Image.Resampling.BILINEAR)
            case CenterCrop():
                picture = _center_crop(picture, step.width, step.height)
    pixels = _pixels(picture)
    for step in steps:
        match step:
            case Normalize():
                mean, std = np.array(step.mean, np.float32), np.array(step.std, np.float32)
                pixels = (pixels * np.float32(step.scale) - mean) / std
            case Layout():
                pixels = _arrange(pixels, step.order)
    return np.ascontiguousarray(pixels)


def _convert(image: Image.Image, mode: str) -> Image.Image:
    # A palette with transparency goes through RGBA, or its transparent entries turn into noise.
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")
    return image.convert(mode)


def _center_crop(picture: Image.Image, width: int, height: int) -> Image.Image:
    if picture.width < width or picture.height < height:
        raise InvalidImage(f"a picture of {picture.width} × {picture.height} pixels is smaller than {width} × {height}")
    left, top = (picture.width - width) // 2, (picture.height - height) // 2
    return picture.crop((left, top, left + width, top + height))


def _pixels(picture: Image.Image) -> FloatArray:
    pixels = np.asarray(picture, dtype=np.float32)
    return pixels[:, :, None] if pixels.ndim == 2 else pixels


def _arrange(pixels: FloatArray, order: str) -> FloatArray:
    match order:
        case "CHW":
            return pixels.transpose(2, 0, 1)
        case "FLAT":
            return pixels.reshape(-1)
        case _:
            return pixels


def _reason(error: Exception) -> str:
    # Pillow's own sentences for unknown data quote the object's address.
    return "unknown format" if isinstance(error, UnidentifiedImageError) else str(error)
