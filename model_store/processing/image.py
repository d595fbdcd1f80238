"""From a picture to a model's input, by the declared steps."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from model_store.errors import InvalidImage
from model_store.processing.steps import (
    CenterCrop,
    Decode,
    Interpolation,
    Layout,
    Normalize,
    PreStep,
    Resize,
    ResizeShortest,
    takes,
)

FloatArray = npt.NDArray[np.float32]

# A picture of more pixels than this is refused before it is decoded, or resized to (a decompression bomb).
MAX_PIXELS = 64_000_000
# What strangers may send. Pillow knows many more, some of which start programs (EPS runs Ghostscript).
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")

_RESAMPLING = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}


def load_image(source: Path | bytes) -> Image.Image:
    """The picture in a file or in bytes, if it is of one of ``FORMATS``.

    Raises:
        InvalidImage: it is missing, no picture, truncated or too large.
    """
    name = str(source) if isinstance(source, Path) else f"the given {len(source)} bytes"
    try:
        image = Image.open(source if isinstance(source, Path) else io.BytesIO(source), formats=FORMATS)
        _check_size(image.width, image.height)
        image.load()
    except FileNotFoundError:
        raise InvalidImage(f"{name}: no such file") from None
    except InvalidImage as error:
        raise InvalidImage(f"{name}: {error}") from None
    except Exception as error:  # Pillow's readers raise whatever a broken file makes them stumble over
        raise InvalidImage(f"{name} is not a picture that can be read ({_reason(error)})") from error
    return image


def preprocess(image: Path | bytes, steps: Sequence[PreStep]) -> FloatArray:
    """The model's input for one picture, without the batch dimension.

    Args:
        image: a file or the bytes of one.
        steps: the manifest's ``preprocessing``, as ``check_preprocessing`` wants it.

    Raises:
        InvalidImage: it is no picture, or too small for a crop; or the model takes no pictures.
    """
    if takes(steps) != "pictures":
        raise InvalidImage(f"the model takes {takes(steps)}, not pictures: that is what its preprocessing declares")
    picture = load_image(image)
    bgr = False
    for step in steps:
        match step:
            case Decode():
                picture, bgr = _convert(picture, step.mode), step.mode == "BGR"
            case Resize():
                picture = picture.resize((step.width, step.height), _RESAMPLING[step.interpolation])
            case ResizeShortest():
                picture = _resize_shortest(picture, step.size, step.interpolation)
            case CenterCrop():
                picture = _center_crop(picture, step.width, step.height)
    pixels = _pixels(picture)
    if bgr:
        pixels = pixels[:, :, ::-1]
    for step in steps:
        match step:
            case Normalize():
                mean, std = np.array(step.mean, np.float32), np.array(step.std, np.float32)
                pixels = (pixels * np.float32(step.scale) - mean) / std
            case Layout():
                pixels = _arrange(pixels, step.order)
    return np.ascontiguousarray(pixels)


def _check_size(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise InvalidImage(f"{width} × {height} pixels are over the limit of {MAX_PIXELS}")


def _convert(image: Image.Image, mode: str) -> Image.Image:
    # A palette with transparency goes through RGBA, or its transparent entries turn into noise.
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")
    return image.convert("L" if mode == "L" else "RGB")


def _resize_shortest(picture: Image.Image, size: int, interpolation: Interpolation) -> Image.Image:
    shorter, longer = sorted(picture.size)
    other = size * longer // shorter  # torchvision rounds down
    width, height = (size, other) if picture.width <= picture.height else (other, size)
    _check_size(width, height)
    return picture.resize((width, height), _RESAMPLING[interpolation])


def _center_crop(picture: Image.Image, width: int, height: int) -> Image.Image:
    if picture.width < width or picture.height < height:
        raise InvalidImage(f"a picture of {picture.width} × {picture.height} pixels is smaller than {width} × {height}")
    left, top = round((picture.width - width) / 2), round((picture.height - height) / 2)  # as torchvision rounds
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
