"""Pixels and joined markdown against PaddleX's own functions, on made and on real documents."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serve_app.document import Markdown
from serve_app.documents.assemble import MarkdownJoiner, inline_images
from serve_app.documents.inspect import inspect
from serve_app.documents.render import render_page
from serve_app.settings import DocumentSettings, LimitSettings
from tests import documents

pytestmark = pytest.mark.integration

LIMITS = LimitSettings()
DOCUMENTS = DocumentSettings()
CORPUS = Path(
    os.environ.get("OCR_SERVE_CORPUS", Path(__file__).parents[3] / "shared" / "corpus")
).resolve()


@pytest.fixture(scope="module")
def paddlex_utils() -> Any:
    return pytest.importorskip(
        "paddlex.inference.serving.infra.utils", reason="PaddleX is not installed"
    )


def corpus_file(name: str) -> bytes:
    path = CORPUS / name
    if not path.is_file():
        pytest.skip(f"no {name} in {CORPUS}; set OCR_SERVE_CORPUS")
    return path.read_bytes()


def assert_same_as_paddlex(data: bytes, utils: Any) -> None:
    """All pages, their sizes and ``dataInfo`` are what PaddleX's server makes of the file."""
    info = inspect(data, LIMITS, DOCUMENTS)
    file_type = "PDF" if info.kind == "pdf" else "IMAGE"
    expected, data_info = utils.file_to_images(data, file_type)
    assert len(info.pages) == len(expected)
    assert info.data_type == data_info.type
    for page, pixels in zip(info.pages, expected, strict=True):
        assert (page.height, page.width) == pixels.shape[:2]
        ours = render_page(data, info.kind, page.index, LIMITS, DOCUMENTS)
        assert np.array_equal(ours, pixels), f"page {page.index + 1}"


PDFS = {
    "text": documents.text_pdf(2),
    "odd size": documents.text_pdf(size_pt=(333.3, 201.7)),
    "rotated": documents.text_pdf(size_pt=(300.1, 200.2), rotate=270),
    "form": documents.form_pdf(),
    "readable by anybody": documents.encrypted_pdf(user_password=""),
    "behind junk": b"junk\n" * 100 + documents.text_pdf(),
}


@pytest.mark.parametrize("name", PDFS)
def test_made_pdfs_have_paddlex_pixels(name: str, paddlex_utils: Any) -> None:
    assert_same_as_paddlex(PDFS[name], paddlex_utils)


PICTURES = {
    **{kind: documents.picture(kind) for kind in ("png", "jpeg", "webp", "bmp", "tiff")},
    "text": documents.encoded(documents.text_picture(), "jpeg", quality=60),
    "progressive": documents.encoded(documents.text_picture(), "jpeg", progressive=True),
    "cmyk": documents.cmyk(),
    "palette": documents.palette_png(),
    "grey 16 bit": documents.grey16_png(),
    "frames": documents.tiff([(30, 20), (20, 30)]),
    **{f"jpeg turned {turn}": documents.turned("jpeg", turn) for turn in range(1, 9)},
    **{f"png turned {turn}": documents.turned("png", turn) for turn in range(1, 9)},
}


@pytest.mark.parametrize("name", PICTURES)
def test_made_pictures_have_paddlex_pixels(name: str, paddlex_utils: Any) -> None:
    assert_same_as_paddlex(PICTURES[name], paddlex_utils)


@pytest.mark.parametrize(
    "name",
    [
        "2206.01062.tif",
        "2305.03393v1-pg9.pdf",
        "ch_en_num.jpg",
        "code_and_formula.pdf",
        "empty_black.jpg",
        "en.jpg",
        "img_exif_orientation.jpg",
        "japan.jpg",
        "multi_page.pdf",
        "normal_4pages.pdf",
        "ocr_test.pdf",
        "ocr_test_rotated_180.pdf",
        "ocr_test_rotated_90.pdf",
        "qr_bill_example.jpg",
        "short.png",
        "webp-test.webp",
    ],
)
def test_real_documents_have_paddlex_pixels(name: str, paddlex_utils: Any) -> None:
    assert_same_as_paddlex(corpus_file(name), paddlex_utils)


def test_black_letters_on_transparent_ground_stay_readable() -> None:
    data = corpus_file("black_font_color_transparent.png")
    info = inspect(data, LIMITS, DOCUMENTS)
    pixels = render_page(data, info.kind, 0, LIMITS, DOCUMENTS)
    assert (pixels > 250).all(axis=2).mean() > 0.5
    assert pixels.min() < 50


def test_digital_pdf_says_what_was_written() -> None:
    """The helper's own text layer, which other tests compare recognised words with."""
    pdfium = pytest.importorskip("pypdfium2")
    document = pdfium.PdfDocument(documents.text_pdf(2))
    try:
        text = document[1].get_textpage().get_text_bounded()
    finally:
        document.close()
    assert text.split() == documents.page_text(2).split()


# ---- Markdown --------------------------------------------------------------------------------

TEXTS = st.text(alphabet="ab文字 \n.", max_size=4)
PAGES = st.lists(st.builds(Markdown, TEXTS, st.just({}), st.booleans(), st.booleans()), max_size=6)


@pytest.fixture(scope="module")
def paddlex_join() -> Any:
    pipeline = pytest.importorskip(
        "paddlex.inference.pipelines.layout_parsing.pipeline_v2", reason="PaddleX is not installed"
    )

    def join(pages: list[Markdown]) -> str:
        result = pipeline._LayoutParsingPipelineV2.concatenate_markdown_pages(
            None,
            [
                {
                    "markdown_texts": page.text,
                    "page_continuation_flags": (page.is_start, page.is_end),
                }
                for page in pages
            ],
        )
        return str(result["markdown_texts"])

    return join


def test_pages_are_joined_as_paddlex_joins_them(paddlex_join: Any) -> None:
    @settings(max_examples=500, deadline=None, derandomize=True, database=None)
    @given(PAGES)
    def compare(pages: list[Markdown]) -> None:
        # PaddleX puts an empty line before the first page.
        joiner = MarkdownJoiner()
        joined = "".join(joiner.add(page) for page in pages)
        assert joined == paddlex_join(pages).removeprefix("\n\n")

    compare()


@pytest.mark.parametrize("pretty", [True, False])
def test_picture_elements_that_paddlex_writes_are_known(pretty: bool) -> None:
    formats = pytest.importorskip(
        "paddlex.inference.common.result.converter.markdown_format_funcs",
        reason="PaddleX is not installed",
    )

    class Block:
        image = {"path": "imgs/img_in_chart_box_1_2_30_40.jpg"}  # noqa: RUF012
        bbox = (1, 2, 30, 40)
        content = ""

    if pretty:
        element = formats.format_centered_by_html(formats.format_image_scaled_by_html(Block, 100))
    else:
        element = formats.format_image_plain(Block)
    text = f"A\n\n{element}\n\nB"
    assert inline_images(text, {}, "omit") == "A\n\nB"
    images = {Block.image["path"]: b"jpeg"}
    assert inline_images(text, images, "data_uri") == text.replace(
        Block.image["path"], "data:image/jpeg;base64,anBlZw=="
    )
