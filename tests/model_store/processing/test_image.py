import contextlib
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from model_store.errors import InvalidImage
from model_store.processing import image as module
from model_store.processing.image import load_image, preprocess
from model_store.processing.steps import CenterCrop, Decode, Layout, Normalize, Resize, ResizeShortest, Tokenize

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


def test_bgr_turns_the_channels_round():
    result = preprocess(png(PIXELS), (Decode("BGR"), Normalize(1.0, (3.0, 2.0, 1.0), (1.0,))))
    np.testing.assert_array_equal(result, PIXELS[:, :, ::-1] - np.float32([3, 2, 1]))


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 30))
def test_the_shorter_side_gets_the_size_and_the_ratio_stays(width, height, size):
    result = preprocess(png(np.zeros((height, width, 3))), (Decode("RGB"), ResizeShortest(size)))
    assert min(result.shape[:2]) == size
    assert max(result.shape[:2]) == size * max(width, height) // min(width, height)
    assert (result.shape[0] <= result.shape[1]) == (height <= width) or size == max(result.shape[:2])


def test_interpolations_differ():
    results = [
        preprocess(png(PIXELS), (Decode("RGB"), Resize(3, 3, kind))) for kind in ("nearest", "bilinear", "bicubic")
    ]
    assert len({result.tobytes() for result in results}) == 3
    assert {*results[0].ravel()} <= {*PIXELS.ravel()}  # nearest makes no new values


def test_a_thin_picture_that_would_become_huge_is_refused(monkeypatch):
    monkeypatch.setattr(module, "MAX_PIXELS", 1000)
    with pytest.raises(InvalidImage, match="20 × 6000 pixels are over the limit of 1000"):
        preprocess(png(np.zeros((300, 1, 3))), (Decode("RGB"), ResizeShortest(20)))


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


@pytest.mark.parametrize(
    ("steps", "problem"),
    [((), "takes tensors, not pictures"), ((Tokenize("t.json", 8, "ids"),), "takes texts, not pictures")],
)
def test_a_model_that_takes_no_pictures_says_what_it_takes(steps, problem):
    with pytest.raises(InvalidImage, match=problem):
        preprocess(png(PIXELS), steps)


@pytest.mark.parametrize("file_format", ["BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP"])
def test_common_formats_are_read(file_format):
    assert preprocess(png(PIXELS, file_format=file_format), RGB).shape == (4, 6, 3)


@pytest.mark.parametrize("file_format", ["EPS", "PDF", "ICO", "TGA"])
def test_formats_that_strangers_need_not_send_are_refused(file_format):
    with pytest.raises(InvalidImage, match="unknown format"):
        preprocess(png(PIXELS, file_format=file_format), RGB)


@given(st.data())
def test_a_damaged_picture_gives_a_picture_or_one_error(data):
    file_format = data.draw(st.sampled_from(["BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP"]))
    content = bytearray(png(PIXELS, file_format=file_format))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(InvalidImage):
        preprocess(bytes(content), RGB)
