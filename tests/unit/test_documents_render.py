from __future__ import annotations

import gc
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageDraw

from serve_app.document import FileKind
from serve_app.documents.inspect import inspect
from serve_app.documents.render import Pixels, render_page
from serve_app.documents.sniff import sniff
from serve_app.errors import EncryptedFile, ImageTooLarge, InvalidFile
from serve_app.settings import DocumentSettings, LimitSettings
from tests import documents

LIMITS = LimitSettings()
DOCUMENTS = DocumentSettings()
BLACK, WHITE = (0, 0, 0), (255, 255, 255)


def render(data: bytes | memoryview, index: int = 0, limits: LimitSettings = LIMITS) -> Pixels:
    pixels = render_page(data, sniff(data), index, limits, DOCUMENTS)
    assert pixels.dtype == np.uint8
    assert pixels.ndim == 3
    assert pixels.shape[2] == 3
    assert pixels.flags.c_contiguous
    return pixels


def assert_shows_quadrants(pixels: Pixels, tolerance: int = 6) -> None:
    height, width = pixels.shape[:2]
    places = {
        "red": (height // 4, width // 4),
        "green": (height // 4, width * 3 // 4),
        "blue": (height * 3 // 4, width // 4),
        "grey": (height * 3 // 4, width * 3 // 4),
    }
    for name, (y, x) in places.items():
        expected = np.array(documents.QUADRANTS[name][::-1])  # BGR
        assert np.abs(pixels[y, x].astype(int) - expected).max() <= tolerance, name


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp", "bmp", "gif", "tiff"])
def test_pictures_come_as_bgr(kind: str) -> None:
    pixels = render(documents.picture(kind))
    assert pixels.shape == (48, 64, 3)
    assert_shows_quadrants(pixels)


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp", "tiff"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_turned_upright(kind: str, orientation: int) -> None:
    pixels = render(documents.turned(kind, orientation, 64, 48))
    assert pixels.shape == (48, 64, 3)
    assert_shows_quadrants(pixels)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "RGB", "L"])
def test_transparency_becomes_white(mode: str) -> None:
    pixels = render(documents.transparent_png(mode))
    assert tuple(pixels[20, 10]) == BLACK
    assert tuple(pixels[20, 50]) == WHITE


def test_half_transparent_is_mixed_with_white() -> None:
    data = documents.encoded(Image.new("RGBA", (4, 4), (0, 0, 0, 51)), "png")
    assert tuple(render(data)[0, 0]) == (204, 204, 204)


def letters(ink: tuple[int, ...], ground: tuple[int, ...] = (0, 0, 0, 0)) -> bytes:
    """A word of this colour, RGBA, on a ground that is transparent by default."""
    image = Image.new("RGBA", (200, 60), ground)
    ImageDraw.Draw(image).text((10, 10), "Hello 42", fill=ink, font_size=40)
    return documents.encoded(image, "png")


@pytest.mark.parametrize(
    ("data", "paper"),
    [
        (letters((255, 255, 255, 255)), BLACK),
        (letters((255, 255, 160, 255)), BLACK),  # light yellow
        (letters((225, 225, 225, 255)), BLACK),
        (letters((0, 0, 0, 255)), WHITE),
        (letters((128, 128, 128, 255)), WHITE),  # seen on both: in doubt white
        (letters((200, 0, 0, 255)), WHITE),
        (letters((255, 255, 255, 255), (0, 0, 90, 200)), WHITE),  # has a dark ground of its own
    ],
)
def test_the_paper_behind_transparency_is_the_one_that_letters_are_seen_on(
    data: bytes, paper: tuple[int, ...]
) -> None:
    pixels = render(data).astype(int)
    ground = pixels[0, 0]
    if paper == BLACK:
        assert tuple(ground) == BLACK
    else:
        assert tuple(ground) != BLACK
    assert abs(pixels - ground).max() > 100, "the letters are seen"


def test_a_white_page_with_black_letters_and_clear_corners_stays_on_white() -> None:
    image = Image.new("RGBA", (200, 100), (255, 255, 255, 255))
    ImageDraw.Draw(image).text((20, 30), "A page with text", fill="black", font_size=22)
    image.putpixel((0, 0), (255, 255, 255, 0))
    assert tuple(render(documents.encoded(image, "png"))[0, 0]) == WHITE


def test_transparent_webp_and_gif_become_white() -> None:
    clear = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
    assert tuple(render(documents.encoded(clear, "webp"))[4, 4]) == WHITE
    palette = Image.new("P", (8, 8), 3)
    palette.putpalette([0, 0, 0] * 256)
    assert tuple(render(documents.encoded(palette, "gif", transparency=3))[4, 4]) == WHITE


@pytest.mark.parametrize(
    "make",
    [documents.palette_png, documents.cmyk, lambda: documents.cmyk("tiff")],
    ids=["palette", "cmyk jpeg", "cmyk tiff"],
)
def test_other_colour_models(make: Callable[[], bytes]) -> None:
    assert_shows_quadrants(render(make()), tolerance=8)


@pytest.mark.parametrize("mode", ["1", "L"])
def test_grey_and_bilevel(mode: str) -> None:
    image = Image.new(mode, (10, 6), 255)
    image.paste(0, (0, 0, 5, 6))
    pixels = render(documents.encoded(image, "png"))
    assert tuple(pixels[3, 1]) == BLACK
    assert tuple(pixels[3, 8]) == WHITE


def test_sixteen_bits_keep_the_high_byte() -> None:
    assert tuple(render(documents.grey16_png(value=0x80FF))[0, 0]) == (0x80, 0x80, 0x80)
    tiff16 = documents.encoded(Image.fromarray(np.full((4, 4), 0x1234, np.uint16)), "tiff")
    assert tuple(render(tiff16)[0, 0]) == (0x12, 0x12, 0x12)


@pytest.mark.parametrize("dtype", [np.int32, np.float32])
def test_32_bit_values_are_stretched_over_their_own_range(dtype: type) -> None:
    values: npt.NDArray[Any] = np.linspace(-1000, 1000, 12).reshape(3, 4).astype(dtype)
    pixels = render(documents.encoded(Image.fromarray(values), "tiff"))
    assert tuple(pixels[0, 0]) == BLACK
    assert tuple(pixels[2, 3]) == WHITE
    flat = documents.encoded(Image.fromarray(np.ones((3, 4), dtype)), "tiff")
    assert tuple(render(flat)[0, 0]) == BLACK


def test_floats_that_are_no_numbers_are_read() -> None:
    rows = [[np.nan, np.inf, -np.inf], [1.0, 2.0, -3e38], [0.0, 0.0, 3e38]]
    values: npt.NDArray[np.float32] = np.array(rows, np.float32)
    assert render(documents.encoded(Image.fromarray(values), "tiff")).shape == (3, 3, 3)


def test_tiff_frame_by_index() -> None:
    data = documents.tiff([(30, 20), (40, 25)])
    assert render(data, 0).shape == (20, 30, 3)
    assert render(data, 1).shape == (25, 40, 3)
    assert tuple(render(documents.big_endian_tiff(value=77))[0, 0]) == (77, 77, 77)


def test_first_frame_of_an_animation() -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("white", "black")]
    for kind in ("gif", "webp"):
        data = documents.encoded(frames[0], kind, save_all=True, append_images=frames[1:])
        assert tuple(render(data)[4, 4]) == WHITE


def test_pdf_page_is_rendered_at_its_promised_size() -> None:
    data = documents.text_pdf(2, size_pt=(200.2, 300.3), rotate=90)
    info = inspect(data, LIMITS, DOCUMENTS)
    for page in info.pages:
        pixels = render(data, page.index)
        assert pixels.shape == (page.height, page.width, 3)
        assert pixels.min() < 50  # there are letters
        assert pixels.max() == 255


def test_pdf_pages_differ() -> None:
    data = documents.text_pdf(["one", "two"])
    assert not np.array_equal(render(data, 0), render(data, 1))


def test_pdf_form_fields_are_drawn() -> None:
    filled, empty = render(documents.form_pdf("XXXXXXXX")), render(documents.form_pdf(""))
    assert not np.array_equal(filled, empty)


def test_read_only_views_are_read() -> None:
    for data in (documents.text_pdf(), documents.picture("jpeg"), documents.picture("png")):
        assert np.array_equal(render(memoryview(data)), render(data))


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp", "bmp", "gif", "tiff"])
def test_damaged_body_is_an_invalid_file(kind: FileKind) -> None:
    noise = np.random.default_rng(7).integers(0, 255, (60, 80, 3), np.uint8)
    data = documents.truncated(documents.encoded(Image.fromarray(noise), kind))
    with pytest.raises(InvalidFile) as caught:
        render(data)
    assert caught.value.__context__ is None  # would keep the pixels alive
    assert len(str(caught.value)) < 80
    assert type(pickle.loads(pickle.dumps(caught.value))) is InvalidFile


def test_jpeg_that_misses_its_last_lines_is_refused_and_not_filled_with_grey() -> None:
    noise = np.random.default_rng(7).integers(0, 255, (60, 80, 3), np.uint8)
    with pytest.raises(InvalidFile):
        render(documents.truncated(documents.encoded(Image.fromarray(noise), "jpeg"), 0.95))


@pytest.mark.parametrize(
    ("data", "index"),
    [
        (documents.text_pdf(1), 1),
        (documents.text_pdf(1), -1),
        (documents.tiff(), 1),
        (documents.picture("png"), 1),
        (documents.damaged_pdf(), 0),
    ],
)
def test_page_that_does_not_exist(data: bytes, index: int) -> None:
    with pytest.raises(InvalidFile):
        render(data, index)


def test_password_is_asked_for_here_too() -> None:
    with pytest.raises(EncryptedFile):
        render(documents.encrypted_pdf())
    assert render(documents.encrypted_pdf(user_password="")).min() < 50


@pytest.mark.parametrize(
    "data",
    [documents.pixel_bomb_png(), documents.huge_page_pdf(500_000), documents.thin_png()],
    ids=["pixels", "pdf page", "aspect"],
)
def test_limits_are_checked_again(data: bytes) -> None:
    with pytest.raises(ImageTooLarge):
        render(data, 1 if data.startswith(b"%PDF") else 0)


# ---- Smaller than they are ---------------------------------------------------------------------

REDUCED = DocumentSettings(max_render_pixels=40_000)


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp", "bmp", "gif", "tiff"])
def test_a_picture_above_the_limit_shows_the_same_in_fewer_pixels(kind: str) -> None:
    data = documents.picture(kind, 401, 299)
    (page,) = inspect(data, LIMITS, REDUCED).pages
    pixels = render_page(data, sniff(data), 0, LIMITS, REDUCED)
    assert page.reduced_by == 2
    assert pixels.shape == (150, 201, 3)
    assert_shows_quadrants(pixels)


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp", "tiff"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_reduced_picture_is_turned_upright(kind: str, orientation: int) -> None:
    data = documents.turned(kind, orientation, 401, 299)
    pixels = render_page(data, sniff(data), 0, LIMITS, REDUCED)
    assert pixels.shape == (150, 201, 3)
    assert_shows_quadrants(pixels)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "RGB", "L"])
def test_a_reduced_picture_is_laid_on_paper_too(mode: str) -> None:
    data = documents.transparent_png(mode, 400, 300)
    pixels = render_page(data, "png", 0, LIMITS, REDUCED)
    assert pixels.shape == (150, 200, 3)
    assert tuple(pixels[75, 50]) == BLACK
    assert tuple(pixels[75, 150]) == WHITE


@pytest.mark.parametrize(
    "make", [lambda: documents.cmyk("jpeg", 400, 300), lambda: documents.cmyk("tiff", 400, 300)]
)
def test_reduced_cmyk(make: Callable[[], bytes]) -> None:
    data = make()
    pixels = render_page(data, sniff(data), 0, LIMITS, REDUCED)
    assert pixels.shape == (150, 200, 3)
    assert_shows_quadrants(pixels, tolerance=8)


def test_a_bilevel_scan_becomes_grey_when_it_is_reduced() -> None:
    image = Image.new("1", (400, 300), 1)
    image.paste(0, (0, 0, 1, 300))
    pixels = render_page(documents.encoded(image, "tiff"), "tiff", 0, LIMITS, REDUCED)
    assert pixels.shape == (150, 200, 3)
    assert tuple(pixels[10, 0]) == (128, 128, 128)
    assert tuple(pixels[10, 10]) == WHITE


def test_a_pdf_page_above_the_limit_is_rendered_smaller() -> None:
    data = documents.text_pdf(1)
    (page,) = inspect(data, LIMITS, REDUCED).pages
    assert page.dpi == 20.3
    pixels = render_page(data, "pdf", 0, LIMITS, REDUCED)
    assert pixels.shape == (page.height, page.width, 3)
    assert pixels.size <= 3 * 40_000


def test_nothing_stays_behind() -> None:
    """No picture and no page may wait for the garbage collector."""
    gc.collect()
    gc.disable()
    try:
        for kind in ("png", "jpeg", "webp", "gif", "tiff"):
            data = documents.picture(kind)
            alive = sum(isinstance(o, Image.Image) for o in gc.get_objects())
            render(data)
            with pytest.raises(InvalidFile):
                render(documents.truncated(data, 0.7))
            assert sum(isinstance(o, Image.Image) for o in gc.get_objects()) <= alive, kind
    finally:
        gc.enable()
