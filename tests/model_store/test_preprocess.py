import contextlib
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from model_store import preprocess as module
from model_store.errors import InvalidImage
from model_store.preprocess import CenterCrop, Decode, Layout, Normalize, Resize, load_image, preprocess

RGB = (Decode("RGB"), Layout("HWC"))


def png(pixels, mode=None, file_format="PNG"):
    buffer = io.BytesIO()
    Image.fromarray(np.asarray(pixels, np.uint8), mode).save(buffer, file_format)
    return buffer.getvalue()


PIXELS = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)


def test_decoding_keeps_every_pixel():
    result = preprocess(png(PIXELS), RGB)
    assert result.dtype == np.float32
    np.testing.assert_array_equal(result, PIXELS)


def test_a_file_and_its_bytes_are_the_same(tmp_path):
    path = tmp_path / "p.png"
    path.write_bytes(png(PIXELS))
    np.testing.assert_array_equal(preprocess(path, RGB), preprocess(path.read_bytes(), RGB))


def test_normalize_is_scale_then_mean_then_std():
    steps = (Decode("RGB"), Normalize(2.0, (1.0, 2.0, 3.0), (4.0, 5.0, 6.0)))
    np.testing.assert_allclose(preprocess(png(PIXELS), steps), (PIXELS * 2.0 - [1, 2, 3]) / [4, 5, 6], rtol=1e-6)


def test_layouts():
    chw = preprocess(png(PIXELS), (Decode("RGB"), Layout("CHW")))
    np.testing.assert_array_equal(chw, PIXELS.transpose(2, 0, 1))
    assert chw.flags["C_CONTIGUOUS"]
    grey = preprocess(png(PIXELS[:, :, 0]), (Decode("L"), Layout("FLAT")))
    np.testing.assert_array_equal(grey, PIXELS[:, :, 0].ravel())


def test_resize_ignores_the_aspect_ratio():
    constant = np.full((5, 9, 3), 77)
    result = preprocess(png(constant), (Decode("RGB"), Resize(4, 2), Layout("CHW")))
    np.testing.assert_array_equal(result, np.full((3, 2, 4), 77))


def test_center_crop_takes_the_middle():
    result = preprocess(png(PIXELS), (Decode("RGB"), CenterCrop(2, 2)))
    np.testing.assert_array_equal(result, PIXELS[1:3, 2:4])


def test_a_crop_larger_than_the_picture_is_refused():
    with pytest.raises(InvalidImage, match="6 × 4 pixels is smaller than 7 × 4"):
        preprocess(png(PIXELS), (Decode("RGB"), CenterCrop(7, 4)))


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "1", "CMYK", "LA"])
def test_every_mode_becomes_rgb(mode):
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).convert(mode).save(buffer, "TIFF")
    assert preprocess(buffer.getvalue(), RGB).shape == (4, 6, 3)


def test_grey_takes_part_in_three_channels():
    grey = np.full((2, 2), 9)
    np.testing.assert_array_equal(preprocess(png(grey), RGB), np.full((2, 2, 3), 9))


@pytest.mark.parametrize("content", [b"", b"hello", b"\x89PNG\r\n\x1a\n", png(PIXELS)[:50], b"GIF89a" + b"\0" * 40])
def test_what_is_no_picture_is_refused(content):
    with pytest.raises(InvalidImage, match="is not a picture") as caught:
        preprocess(content, RGB)
    assert "0x" not in str(caught.value)


@given(st.binary(max_size=200))
def test_any_bytes_give_a_picture_or_one_error(content):
    with contextlib.suppress(InvalidImage):
        load_image(content)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InvalidImage, match=r"gone\.png: no such file"):
        load_image(tmp_path / "gone.png")


def test_a_folder_is_no_picture(tmp_path):
    with pytest.raises(InvalidImage, match="is not a picture"):
        load_image(tmp_path)


def test_a_picture_of_too_many_pixels_is_refused_before_it_is_decoded(monkeypatch):
    monkeypatch.setattr(module, "MAX_PIXELS", 23)
    with pytest.raises(InvalidImage, match="6 × 4 pixels are over the limit of 23"):
        load_image(png(PIXELS))


def test_a_model_without_steps_takes_no_pictures():
    with pytest.raises(InvalidImage, match="takes tensors, not pictures"):
        preprocess(png(PIXELS), ())
