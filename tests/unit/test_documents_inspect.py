from __future__ import annotations

import warnings
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from serve_app.document import DocumentInfo
from serve_app.documents.inspect import inspect
from serve_app.documents.jpeg2000 import codestream_sizes
from serve_app.documents.page_size import pdf_page, size_at
from serve_app.documents.render import render_page
from serve_app.errors import (
    EmptyFile,
    EncryptedFile,
    ImageTooLarge,
    InvalidFile,
    OcrServeError,
    TooManyPages,
    UnsupportedFile,
)
from serve_app.settings import DocumentSettings, LimitSettings
from tests import documents

LIMITS = LimitSettings()
DOCUMENTS = DocumentSettings()
PICTURES = ["png", "jpeg", "webp", "bmp", "gif", "tiff"]


def look(
    data: bytes | memoryview,
    limits: LimitSettings = LIMITS,
    settings: DocumentSettings = DOCUMENTS,
) -> DocumentInfo:
    return inspect(data, limits, settings)


def sizes(info: DocumentInfo) -> list[tuple[int, int]]:
    assert [page.index for page in info.pages] == list(range(len(info.pages)))
    return [(page.width, page.height) for page in info.pages]


@pytest.mark.parametrize("kind", PICTURES)
def test_picture_is_one_page_of_its_own_size(kind: str) -> None:
    info = look(documents.picture(kind, 70, 50))
    assert info.kind == kind
    assert info.data_type == "image"
    assert sizes(info) == [(70, 50)]


def test_every_tiff_frame_is_a_page() -> None:
    info = look(documents.tiff([(30, 20), (40, 25), (10, 10)]))
    assert info.data_type == "tiff"
    assert sizes(info) == [(30, 20), (40, 25), (10, 10)]


def test_bigtiff_and_big_endian_tiff() -> None:
    assert sizes(look(documents.tiff([(30, 20)], big_tiff=True))) == [(30, 20)]
    assert sizes(look(documents.big_endian_tiff(5, 3))) == [(5, 3)]


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp", "tiff"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_size_is_that_of_the_upright_picture(kind: str, orientation: int) -> None:
    assert sizes(look(documents.turned(kind, orientation, 40, 24))) == [(40, 24)]


def test_broken_exif_does_not_matter() -> None:
    data = documents.encoded(documents.quadrants(40, 24), "jpeg", exif=b"Exif\0\0II*\0garbage!")
    assert sizes(look(data)) == [(40, 24)]


def test_pdf_pages_have_their_size_after_rendering() -> None:
    info = look(documents.text_pdf(3))
    assert info.data_type == "pdf"
    assert sizes(info) == [(1190, 1684)] * 3


@pytest.mark.parametrize(
    ("rotate", "size"), [(0, (401, 601)), (90, (601, 401)), (180, (401, 601)), (270, (601, 401))]
)
def test_pdf_page_rotation_counts(rotate: int, size: tuple[int, int]) -> None:
    assert sizes(look(documents.text_pdf(size_pt=(200.2, 300.3), rotate=rotate))) == [size]


def test_pdf_dpi_counts() -> None:
    data = documents.text_pdf(size_pt=(72, 144))
    assert sizes(look(data, settings=DocumentSettings(pdf_dpi=100))) == [(100, 200)]


def test_read_only_view_and_leading_junk_in_a_pdf() -> None:
    assert len(look(memoryview(documents.text_pdf(2))).pages) == 2
    assert len(look(b"junk\n" * 100 + documents.text_pdf(2)).pages) == 2


def test_empty_and_unknown() -> None:
    with pytest.raises(EmptyFile):
        look(b"")
    with pytest.raises(UnsupportedFile):
        look(b"hello")


def test_pdf_that_needs_a_password() -> None:
    with pytest.raises(EncryptedFile):
        look(documents.encrypted_pdf())


def test_encrypted_pdf_that_anybody_may_open_is_read() -> None:
    assert len(look(documents.encrypted_pdf(user_password="")).pages) == 1


@pytest.mark.parametrize(
    "data",
    [
        documents.damaged_pdf(),
        documents.claimed_pages_pdf(3),
        documents.picture("png")[:20],
        documents.picture("jpeg")[:12],
        documents.picture("webp")[:14],
        documents.picture("bmp")[:20],
        documents.picture("gif")[:8],
        documents.picture("tiff")[:9],
    ],
)
def test_damaged_headers(data: bytes) -> None:
    with pytest.raises(InvalidFile) as caught:
        look(data)
    assert caught.value.__context__ is None  # would keep the decoder's frames alive


@pytest.mark.parametrize("kind", ["png", "jpeg", "bmp", "gif"])
def test_damaged_body_is_not_looked_at(kind: str) -> None:
    assert sizes(look(documents.truncated(documents.picture(kind, 64, 48), 0.97))) == [(64, 48)]


# ---- Limits ----------------------------------------------------------------------------------


def test_too_many_pages_names_count_and_key() -> None:
    with pytest.raises(TooManyPages) as caught:
        look(documents.text_pdf(4), LimitSettings(max_pages=3))
    assert (caught.value.value, caught.value.limit) == (4, 3)
    assert caught.value.config_key == "limits.max_pages"


def test_claimed_pages_are_refused_without_looking_for_them() -> None:
    with pytest.raises(TooManyPages) as caught:
        look(documents.claimed_pages_pdf(100_000))
    assert caught.value.value == 100_000


def test_tiff_frames_are_counted_no_further_than_the_limit() -> None:
    data = documents.tiff([(8, 8)] * 9)
    assert len(look(data, LimitSettings(max_pages=9)).pages) == 9
    with pytest.raises(TooManyPages, match="at least") as caught:
        look(data, LimitSettings(max_pages=5))
    assert caught.value.value == 6


def test_pixel_bomb_is_refused_by_its_header() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ImageTooLarge, match="60000 x 60000") as caught:
            look(documents.pixel_bomb_png())
    assert caught.value.value == 3_600_000_000
    assert caught.value.config_key == "limits.max_page_pixels"


def test_bomb_that_pillow_itself_refuses() -> None:
    gif = bytearray(documents.picture("gif"))
    descriptor = gif.index(b"\x2c", 13 + 3 * 2 ** ((gif[10] & 7) + 1))
    gif[descriptor + 5 : descriptor + 9] = b"\xff\xff\xff\xff"
    with pytest.raises(ImageTooLarge, match="at least"):
        look(bytes(gif))


def test_pillow_guard_is_put_back() -> None:
    before = Image.MAX_IMAGE_PIXELS
    look(documents.picture("png"))
    with pytest.raises(OcrServeError):
        look(documents.pixel_bomb_png())
    assert before == Image.MAX_IMAGE_PIXELS


def test_pictures_above_pillows_limit_are_read_where_ours_allows_them() -> None:
    limits = LimitSettings(max_page_pixels=200_000_000)
    whole = DocumentSettings(max_render_pixels=200_000_000)
    data = documents.pixel_bomb_png(12_000, 12_000)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert sizes(look(data, limits, whole)) == [(12_000, 12_000)]


@pytest.mark.parametrize(
    ("limits", "key", "value"),
    [
        (LimitSettings(max_page_pixels=19_999), "limits.max_page_pixels", 20_000),
        (LimitSettings(max_side_pixels=199), "limits.max_side_pixels", 200),
        (LimitSettings(max_aspect_ratio=1.9), "limits.max_aspect_ratio", 2),
    ],
)
def test_each_size_limit(limits: LimitSettings, key: str, value: float) -> None:
    data = documents.picture("png", 100, 200)
    with pytest.raises(ImageTooLarge, match="100 x 200") as caught:
        look(data, limits)
    assert (caught.value.config_key, caught.value.value) == (key, value)


def test_size_at_the_limits_is_allowed() -> None:
    limits = LimitSettings(max_page_pixels=20_000, max_side_pixels=200, max_aspect_ratio=2)
    assert sizes(look(documents.picture("png", 100, 200), limits)) == [(100, 200)]


def test_column_of_pixels_is_refused() -> None:
    with pytest.raises(ImageTooLarge) as caught:
        look(documents.thin_png(500))
    assert (caught.value.config_key, caught.value.value) == ("limits.max_aspect_ratio", 500)


def test_page_that_is_too_large_is_named() -> None:
    with pytest.raises(ImageTooLarge, match="page 2"):
        look(documents.huge_page_pdf(500_000))
    with pytest.raises(ImageTooLarge, match="page 2"):
        look(documents.tiff([(10, 10), (10, 99)]), LimitSettings(max_side_pixels=50))


# ---- Smaller than they are ---------------------------------------------------------------------


def test_a_pdf_page_above_the_limit_is_rendered_at_a_lower_resolution() -> None:
    first, second = look(documents.huge_page_pdf(14_400)).pages
    assert (first.width, first.height, first.dpi, first.notice) == (1190, 1684, 144.0, "")
    assert second.dpi == 31.6
    assert (second.width, second.height) == (6320, 6320)
    assert second.notice == (
        "page 2 was rendered at 31.6 dpi instead of 144, which gives 6320 x 6320 pixels "
        "(documents.max_render_pixels)"
    )


def test_a_large_page_that_fits_keeps_its_resolution() -> None:
    for side_pt, side in ((2160.0, 4320), (3160.0, 6320)):
        page = look(documents.huge_page_pdf(side_pt)).pages[1]
        assert (page.width, page.height, page.dpi, page.notice) == (side, side, 144.0, "")


def test_a_page_of_kilometres_is_refused_with_the_key() -> None:
    with pytest.raises(ImageTooLarge, match="at 10 dpi") as caught:
        look(documents.huge_page_pdf(500_000))
    assert caught.value.config_key == "documents.max_render_pixels"


@pytest.mark.parametrize(
    ("kind", "size"), [("png", (67, 50)), ("jpeg", (50, 38)), ("webp", (67, 50)), ("gif", (67, 50))]
)
def test_a_picture_above_the_limit_is_read_smaller(kind: str, size: tuple[int, int]) -> None:
    (page,) = look(
        documents.picture(kind, 200, 150), settings=DocumentSettings(max_render_pixels=3_400)
    ).pages
    assert (page.width, page.height) == size
    assert page.dpi is None
    assert page.reduced_by == {67: 3, 50: 4}[size[0]]  # of a JPEG halves only
    assert "of 200 x 150 pixels was read at" in page.notice


def test_a_long_picture_is_read_smaller() -> None:
    (page,) = look(
        documents.picture("png", 300, 20), settings=DocumentSettings(max_render_side=100)
    ).pages
    assert (page.width, page.height, page.reduced_by) == (100, 7, 3)


def test_pixels_that_cannot_be_averaged_are_refused() -> None:
    with pytest.raises(ImageTooLarge) as caught:
        look(documents.grey16_png(), settings=DocumentSettings(max_render_pixels=100))
    assert caught.value.config_key == "documents.max_render_pixels"


@given(
    st.floats(1, 20_000),
    st.floats(1, 20_000),
    st.integers(100_000, 50_000_000),
    st.integers(1_000, 30_000),
)
def test_no_page_is_above_what_is_rendered_and_none_is_needlessly_small(
    width_pt: float, height_pt: float, most: int, side: int
) -> None:
    documents_ = DocumentSettings(max_render_pixels=most, max_render_side=side)
    try:
        page = pdf_page(0, width_pt, height_pt, LIMITS, documents_)
    except ImageTooLarge:
        return
    assert page.width * page.height <= most
    assert max(page.width, page.height) <= side
    assert page.dpi is not None
    if page.notice:
        more = size_at(width_pt, height_pt, page.dpi + 0.2)
        assert more[0] * more[1] > most or max(more) > side


def test_jpeg2000_bomb_inside_a_pdf_is_refused() -> None:
    with pytest.raises(ImageTooLarge, match="JPEG 2000"):
        look(documents.jpeg2000_pdf())
    assert len(look(documents.jpeg2000_pdf(100, 100)).pages) == 1


def test_thin_strip_inside_a_pdf_is_no_thin_page() -> None:
    assert len(look(documents.jpeg2000_pdf(2000, 2)).pages) == 1


def test_codestreams_are_found_and_chance_hits_are_not() -> None:
    data = documents.jpeg2000_pdf(123, 45)
    assert list(codestream_sizes(memoryview(data))) == [(123, 45)]
    assert list(codestream_sizes(b"\xff\x4f\xff\x51" * 20)) == []


# ---- Any bytes -------------------------------------------------------------------------------

SEEDS: list[Callable[[], bytes]] = [
    lambda: documents.text_pdf(2, size_pt=(60, 60), font_pt=8),
    documents.form_pdf,
    documents.encrypted_pdf,
    lambda: documents.jpeg2000_pdf(20, 20),
    *(lambda kind=kind: documents.turned(kind, 6, 16, 12) for kind in ("png", "jpeg", "webp")),
    lambda: documents.picture("bmp", 16, 12),
    lambda: documents.picture("gif", 16, 12),
    lambda: documents.tiff([(16, 12), (12, 16)], compression="tiff_lzw"),
    lambda: documents.tiff([(16, 12)], big_tiff=True),
    lambda: documents.transparent_png("P", 16, 12),
    lambda: documents.cmyk("tiff", 16, 12),
    documents.grey16_png,
]
SMALL = LimitSettings(max_pages=5, max_page_pixels=1_000_000, max_side_pixels=4000)
LOW_DPI = DocumentSettings(pdf_dpi=36)
REDUCED = DocumentSettings(pdf_dpi=36, max_render_pixels=100)


@st.composite
def mutated_documents(draw: st.DrawFn) -> bytes:
    data = bytearray(draw(st.sampled_from(SEEDS))())
    for _ in range(draw(st.integers(0, 6))):
        place = draw(st.integers(0, len(data) - 1))
        data[place] = draw(st.integers(0, 255))
    if draw(st.booleans()):
        cut = draw(st.integers(0, len(data)))
        other = draw(st.sampled_from(SEEDS))()
        data = data[:cut] + other[draw(st.integers(0, len(other))) :]
    return bytes(data)


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(mutated_documents(), st.sampled_from([LOW_DPI, REDUCED]))
def test_only_our_errors_come_out_and_pages_have_the_size_that_was_promised(
    data: bytes, rendered: DocumentSettings
) -> None:
    try:
        info = inspect(data, SMALL, rendered)
    except OcrServeError:
        return
    for page in info.pages[:2]:
        try:
            pixels = render_page(data, info.kind, page.index, SMALL, rendered)
        except OcrServeError:
            continue
        assert pixels.shape == (page.height, page.width, 3)


@settings(max_examples=50, deadline=None, derandomize=True, database=None)
@given(st.sampled_from(SEEDS), st.binary(max_size=200))
def test_any_bytes_behind_a_known_beginning(seed: Callable[[], bytes], rest: bytes) -> None:
    try:
        inspect(seed()[:12] + rest, SMALL, LOW_DPI)
    except OcrServeError:
        pass
