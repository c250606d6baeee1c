"""Searchable PDFs, read back with PDFium: what their text is, and where."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import unicodedata
from collections.abc import Sequence
from pathlib import Path

import pikepdf
import pypdfium2 as pdfium
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from serve_app.document import Box, Line, PageResult
from serve_app.documents.inspect import inspect
from serve_app.errors import EncryptedFile, InvalidFile
from serve_app.formats import pdf_font
from serve_app.formats.picture_pdf import picture_pdf
from serve_app.formats.searchable_pdf import SearchablePdf
from serve_app.settings import DocumentSettings, LimitSettings
from tests import documents
from tests.block_pages import HOSTILE

LIMITS, DOCUMENTS = LimitSettings(), DocumentSettings()
DOTS_PER_POINT = 2.0
# Pixels at 144 dpi.
NEAR = 2.5


def blank_pdf(
    *,
    rotate: int = 0,
    media: Sequence[float] = (0, 0, 400, 600),
    crop: Sequence[float] | None = None,
) -> bytes:
    """One page without text."""
    pdf = pikepdf.Pdf.new()
    page = pdf.add_blank_page(page_size=(400, 600))
    page.obj.MediaBox = pikepdf.Array(list(media))
    if crop is not None:
        page.obj.CropBox = pikepdf.Array(list(crop))
    page.obj.Rotate = rotate
    return saved(pdf)


def saved(pdf: pikepdf.Pdf, **options: object) -> bytes:
    out = io.BytesIO()
    pdf.save(out, **options)  # type: ignore[arg-type]
    return out.getvalue()


def result(
    lines: Sequence[Line], width: int, height: int, index: int = 0, turn: int = 0
) -> PageResult:
    if turn in (90, 270):
        width, height = height, width
    return PageResult(index, width, height, b"{}", (), lines=tuple(lines), angle=turn)


def searchable(data: bytes, lines: Sequence[Line], turn: int = 0) -> bytes:
    """The file with these lines on its first page, which was rendered at 144 dpi."""
    with pdfium.PdfDocument(data) as document:
        width, height = (round(side * DOTS_PER_POINT) for side in document.get_page_size(0))
        made = SearchablePdf(data, range(len(document)))
    made.add(result(lines, width, height, turn=turn))
    return made.save([])


def found(data: bytes, text: str, index: int = 0) -> Box:
    """Where PDFium finds ``text`` on the page as it is shown, pixels at 144 dpi."""
    with pdfium.PdfDocument(data) as document:
        page = document[index]
        width, height = (round(side * DOTS_PER_POINT) for side in page.get_size())
        textpage = page.get_textpage()
        start, count = textpage.search(text).get_next()
        corners = []
        for at in range(start, start + count):
            left, bottom, right, top = textpage.get_charbox(at)
            corners += [
                _shown(page, width, height, left, bottom),
                _shown(page, width, height, right, top),
            ]
        xs, ys = zip(*corners, strict=True)
        return min(xs), min(ys), max(xs), max(ys)


def _shown(page: pdfium.PdfPage, width: int, height: int, x: float, y: float) -> tuple[int, int]:
    converter = pdfium.PdfPosConv(page, (0, 0, width, height, 0))
    shown: tuple[int, int] = converter.to_bitmap(x, y)
    return shown


def text_of(data: bytes, index: int = 0) -> str:
    with pdfium.PdfDocument(data) as document:
        text: str = document[index].get_textpage().get_text_range()
        return text


def near(one: Box, other: Box) -> bool:
    return all(abs(a - b) <= NEAR for a, b in zip(one, other, strict=True))


BOX = (100.0, 200.0, 500.0, 240.0)


@pytest.mark.parametrize("rotate", [0, 90, 180, 270])
@pytest.mark.parametrize("crop", [None, (50, 100, 350, 550)])
@pytest.mark.parametrize("media", [(0, 0, 400, 600), (-100, 200, 300, 800)])
def test_text_is_found_where_it_was_read(
    rotate: int, crop: Sequence[float] | None, media: Sequence[float]
) -> None:
    if crop is not None:
        crop = [
            number + offset for number, offset in zip(crop, (*media[:2], *media[:2]), strict=True)
        ]
    data = blank_pdf(rotate=rotate, media=media, crop=crop)
    made = searchable(data, [Line("Invisible words", BOX, 0.9)])
    assert near(found(made, "Invisible words"), BOX)


@pytest.mark.parametrize("turn", [90, 180, 270])
def test_a_page_that_was_turned_before_it_was_read(turn: int) -> None:
    """What is at this place of the turned picture is at that of the page."""
    width, height = 800, 1200
    box = (100.0, 300.0, 500.0, 340.0)
    left, top, right, bottom = box
    shown = {
        90: (width - bottom, left, width - top, right),
        180: (width - right, height - bottom, width - left, height - top),
        270: (top, height - right, bottom, height - left),
    }[turn]
    made = searchable(blank_pdf(), [Line("Invisible words", box, 0.9)], turn=turn)
    assert near(found(made, "Invisible words"), shown)


def test_words_stand_about_where_they_are_printed() -> None:
    made = searchable(blank_pdf(), [Line("illicit WWWWW mm", BOX, 0.9)])
    first, second = found(made, "illicit"), found(made, "WWWWW")
    assert first[2] - first[0] < second[2] - second[0]
    assert second[0] > first[2]


def test_a_line_from_top_to_bottom() -> None:
    box = (300.0, 100.0, 330.0, 400.0)
    made = searchable(blank_pdf(), [Line("縦書きの文", box, 0.9)])
    assert near(found(made, "縦書きの文"), box)


@pytest.mark.parametrize(
    "text",
    [
        "plain ASCII (with brackets) \\ and more",
        "Füße, naïve, Ελληνικά, Русский",
        "正品促销 大桶装更划算",
        "日本語のテキスト",
        "안녕하세요 세계",
        "e\u0301 and o\u0308 are two characters each",
        "𝒳 𠮷野家 👩\u200d👧",
        "नमस्ते दुनिया",
        "สวัสดี",
    ],
)
def test_any_text_is_copied_out_as_it_was_read(text: str) -> None:
    made = searchable(blank_pdf(), [Line(text, BOX, 0.9)])
    assert text_of(made) == text


@pytest.mark.parametrize("text", ["שלום עולם", "مرحبا بالعالم", "בְּרֵאשִׁית בָּרָא", "שלום 123 עולם"])
def test_right_to_left_text_is_copied_out_in_reading_order(text: str) -> None:
    made = searchable(blank_pdf(), [Line(text, BOX, 0.9)])
    # Marks of one letter may change places: canonically the same.
    assert unicodedata.normalize("NFD", text_of(made)) == unicodedata.normalize("NFD", text)


def test_right_to_left_words_stand_where_they_are_printed() -> None:
    made = searchable(blank_pdf(), [Line("שלום עולם", BOX, 0.9)])
    first, second = found(made, "שלום"), found(made, "עולם")
    assert first[0] > second[2]
    assert first[2] == pytest.approx(BOX[2], abs=NEAR)


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_does_not_break_the_file(name: str) -> None:
    made = searchable(
        blank_pdf(), [Line(HOSTILE[name], BOX, 0.9), Line("after", (10, 700, 90, 730), 1)]
    )
    assert "after" in text_of(made)
    with pikepdf.open(io.BytesIO(made)) as pdf:
        assert pdf.check_pdf_syntax() == []


def test_more_characters_than_one_font_can_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pdf_font, "MAX_GLYPHS", 3000)
    letters = [chr(code) for code in range(0x3400, 0x5000) if chr(code).isalpha()][:4000]
    lines = [
        Line("".join(letters[at : at + 2000]), (0, 10 * at / 2000, 800, 10 * at / 2000 + 8), 1.0)
        for at in range(0, len(letters), 2000)
    ]
    made = searchable(blank_pdf(), lines)
    with pikepdf.open(io.BytesIO(made)) as pdf:
        assert len(pdf.pages[0].Resources.Font) == 2
    assert letters[-1] in text_of(made)
    assert letters[0] in text_of(made)


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=40), st.tuples(*[st.floats(-1e4, 1e4)] * 4))
def test_no_text_and_no_box_breaks_the_file(text: str, box: Box) -> None:
    made = searchable(blank_pdf(), [Line(text, box, 0.5), Line("after", BOX, 1)])
    assert "after" in text_of(made)


def test_lines_of_the_files_own_layer_are_not_written_again() -> None:
    data = documents.text_pdf(["Own words"])
    own = Line("Own words", (96, 96, 400, 140), 1.0, "layer")
    made = searchable(data, [own, Line("Read in a picture", (100, 800, 500, 840), 0.9)])
    assert text_of(made).count("Own words") == 1
    assert "Read in a picture" in text_of(made)


def test_recognised_lines_that_the_page_says_itself_are_not_doubled() -> None:
    data = documents.text_pdf(["Own words stand here"])
    box = found(data, "Own words stand here")
    read = Line("0wn wordsstand here", box, 0.9)  # with an error or two
    elsewhere = Line("Own words stand here", (100, 800, 500, 840), 0.9)
    assert text_of(searchable(data, [read])).strip() == "Own words stand here"
    assert text_of(searchable(data, [elsewhere])).count("Own words stand here") == 2


def test_a_layer_that_says_something_else_does_not_hide_what_was_read() -> None:
    data = documents.text_pdf(["####### ## ###"])
    read = Line("What is really printed", found(data, "#######"), 0.9)
    assert "What is really printed" in text_of(searchable(data, [read]))


def test_the_page_looks_as_before() -> None:
    data = documents.text_pdf(["Own words"])
    made = searchable(data, [Line("Invisible", (100, 800, 500, 840), 0.9)])
    assert _pixels(made) == _pixels(data)


def _pixels(data: bytes) -> bytes:
    with pdfium.PdfDocument(data) as document:
        return bytes(document[0].render(scale=1).buffer)


def test_metadata_outlines_and_forms_are_kept() -> None:
    with pikepdf.open(io.BytesIO(documents.form_pdf())) as pdf:
        pdf.docinfo["/Title"] = "A title"
        with pdf.open_outline() as outline:
            outline.root.append(pikepdf.OutlineItem("Chapter", 0))
        data = saved(pdf)
    with pikepdf.open(io.BytesIO(searchable(data, [Line("Read", BOX, 0.9)]))) as made:
        assert made.docinfo["/Title"] == "A title"
        assert [item.title for item in made.open_outline().root] == ["Chapter"]
        assert len(made.Root.AcroForm.Fields) == 1


def test_some_pages_in_the_order_asked_for_with_the_metadata() -> None:
    with pikepdf.open(io.BytesIO(documents.text_pdf(4))) as pdf:
        pdf.docinfo["/Title"] = "A title"
        with pdf.open_outline() as outline:
            outline.root.append(pikepdf.OutlineItem("Chapter", 0))
        data = saved(pdf)
    made = SearchablePdf(data, [2, 0])
    for index in (2, 0):
        made.add(result([Line(f"Read on {index}", (100, 900, 500, 940), 0.9)], 1190, 1684, index))
    part = made.save([])
    assert ["page number 3" in text_of(part, 0), "Read on 2" in text_of(part, 0)] == [True, True]
    assert ["page number 1" in text_of(part, 1), "Read on 0" in text_of(part, 1)] == [True, True]
    with pikepdf.open(io.BytesIO(part)) as pdf:
        assert (len(pdf.pages), pdf.docinfo["/Title"]) == (2, "A title")
    assert made.notices == [
        "Bookmarks, links between pages, forms and attachments stay with a whole document only"
    ]


def test_a_failed_page_has_a_note() -> None:
    made = SearchablePdf(blank_pdf(), [0])
    made.failed(0, "engine_crashed: signal 11")
    with pikepdf.open(io.BytesIO(made.save([]))) as pdf:
        (note,) = pdf.pages[0].Annots
        assert str(note.Contents) == "Page 1 failed: engine_crashed: signal 11"


def test_a_signed_file_is_answered_with_a_notice() -> None:
    with pikepdf.open(io.BytesIO(documents.form_pdf())) as pdf:
        pdf.Root.AcroForm.SigFlags = 3
        data = saved(pdf)
    assert "signed" in SearchablePdf(data, [0]).notices[0]


def test_protection_without_a_password_is_kept_and_told() -> None:
    permissions = pikepdf.Permissions(extract=False)
    with pikepdf.open(io.BytesIO(blank_pdf())) as pdf:
        data = saved(pdf, encryption=pikepdf.Encryption(owner="o", user="", allow=permissions))
    made = SearchablePdf(data, [0])
    made.add(result([Line("Read", BOX, 0.9)], 800, 1200))
    with pikepdf.open(io.BytesIO(made.save([]))) as pdf:
        assert pdf.is_encrypted
        assert not pdf.allow.extract
    assert "protected" in made.notices[0]


def test_old_protection_is_kept_too() -> None:
    data = documents.encrypted_pdf(user_password="")
    made = SearchablePdf(data, [0])
    made.add(result([Line("Read", (100, 900, 500, 940), 0.9)], 1190, 1684))
    assert "Read" in text_of(made.save([]))


def test_of_a_protected_file_no_part_is_taken() -> None:
    with pikepdf.open(io.BytesIO(documents.text_pdf(2))) as pdf:
        data = saved(pdf, encryption=pikepdf.Encryption(owner="o", user=""))
    with pytest.raises(EncryptedFile, match="as a whole only"):
        SearchablePdf(data, [1])


def test_files_that_cannot_be_written_again() -> None:
    with pytest.raises(EncryptedFile):
        SearchablePdf(documents.encrypted_pdf(), [0])
    with pytest.raises(InvalidFile, match="damaged"):
        SearchablePdf(documents.damaged_pdf(), [0])
    with pytest.raises(InvalidFile, match="1 of its pages"):
        SearchablePdf(documents.text_pdf(1), [0, 1])


def test_a_file_without_its_cross_references_is_repaired() -> None:
    data = documents.text_pdf(["Own words"])
    broken = data[: data.rindex(b"xref")]
    made = searchable(broken, [Line("Read", (100, 900, 500, 940), 0.9)])
    assert "Own words" in text_of(made)
    assert "Read" in text_of(made)


@pytest.mark.parametrize("kind", ["jpeg", "png", "tiff", "webp", "bmp", "gif"])
def test_a_picture_becomes_a_page_of_its_proportions(kind: str) -> None:
    data = documents.picture(kind, 300, 200)
    info = inspect(data, LIMITS, DOCUMENTS)
    made = SearchablePdf(picture_pdf(data, info.kind, LIMITS, DOCUMENTS), [0])
    made.add(result([Line("Read", (30, 40, 150, 60), 0.9)], 300, 200))
    pdf = made.save([])
    with pdfium.PdfDocument(pdf) as document:
        width, height = document.get_page_size(0)
    assert width / height == pytest.approx(1.5, rel=0.01)
    scale = width * DOTS_PER_POINT / 300
    assert near(found(pdf, "Read"), tuple(scale * n for n in (30, 40, 150, 60)))


def test_a_jpeg_is_not_packed_again() -> None:
    data = documents.picture("jpeg", 300, 200)
    assert data in picture_pdf(data, "jpeg", LIMITS, DOCUMENTS)


def test_each_frame_of_a_tiff_is_a_page() -> None:
    out = io.BytesIO()
    frames = [Image.new("L", (300, 200), shade) for shade in (0, 100, 200)]
    frames[0].save(out, "TIFF", save_all=True, append_images=frames[1:])
    data = out.getvalue()
    with pdfium.PdfDocument(picture_pdf(data, "tiff", LIMITS, DOCUMENTS)) as document:
        assert len(document) == 3


@pytest.mark.skipif(shutil.which("pdftotext") is None, reason="poppler-utils is not installed")
def test_poppler_finds_the_same_words_at_the_same_places(tmp_path: Path) -> None:
    file = tmp_path / "made.pdf"
    lines = [Line("Invisible", (100, 200, 300, 240), 0.9), Line("漢字", (100, 400, 180, 440), 0.9)]
    file.write_bytes(searchable(blank_pdf(), lines))
    command = ["pdftotext", "-bbox", str(file), "-"]
    told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout
    words = re.findall(
        r'<word xMin="(.*?)" yMin="(.*?)" xMax="(.*?)" yMax="(.*?)">(.*?)</word>', told
    )
    assert [word[4] for word in words] == ["Invisible", "漢字"]
    for word, line in zip(words, lines, strict=True):
        left, top, right, bottom = (DOTS_PER_POINT * float(number) for number in word[:4])
        assert near((left, top, right, bottom), line.box)
