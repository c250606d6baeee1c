from __future__ import annotations

import re

import pytest
from lxml import etree

from serve_app.formats.hocr import HocrWriter
from tests import block_pages
from tests.block_pages import HEIGHT, HOSTILE, WIDTH, block, page, written

XHTML = "{http://www.w3.org/1999/xhtml}"


def parsed(*pages: block_pages.Page) -> etree._Element:
    """Well-formed XML, read without the network and without entities."""
    data = written(HocrWriter(), *pages, notices=["a notice & <more>"])
    parser = etree.XMLParser(no_network=True, resolve_entities=False, load_dtd=False)
    return etree.fromstring(data, parser)


def of_class(tree: etree._Element, name: str) -> list[etree._Element]:
    return [node for node in tree.iter() if node.get("class") == name]


def test_pages_areas_paragraphs_and_lines_are_nested() -> None:
    tree = parsed(block_pages.everything())
    (ocr_page,) = of_class(tree, "ocr_page")
    assert ocr_page.get("title") == f"bbox 0 0 {WIDTH} {HEIGHT}; ppageno 0"
    for line in of_class(tree, "ocr_line"):
        paragraph = line.getparent()
        assert paragraph is not None
        assert paragraph.get("class") == "ocr_par"
        area = paragraph.getparent()
        assert area is not None
        assert area.get("class") in ("ocr_carea", "ocr_table", "ocr_photo")
        assert area.getparent() is ocr_page


def test_every_line_is_there_once_with_its_place_and_confidence() -> None:
    result = block_pages.everything()
    found = of_class(parsed(result), "ocr_line")
    assert [line.text for line in found] == [" ".join(line.text.split()) for line in result.lines]
    assert found[0].get("title") == "bbox 20 10 500 30; x_wconf 99"


def test_words_are_not_made_up() -> None:
    tree = parsed(block_pages.everything())
    assert of_class(tree, "ocrx_word") == []
    (capabilities,) = [
        m.get("content") for m in tree.iter(f"{XHTML}meta") if m.get("name") == "ocr-capabilities"
    ]
    used = {
        node.get("class") for node in tree.iter() if (node.get("class") or "").startswith("ocr")
    }
    assert used <= set((capabilities or "").split())


def test_ids_are_unique_over_pages() -> None:
    tree = parsed(*(block_pages.everything(index) for index in range(3)))
    ids = [node.get("id") for node in tree.iter() if node.get("id")]
    assert len(ids) == len(set(ids)) > 30


def test_a_turned_page_has_the_size_of_the_picture_that_was_read() -> None:
    (ocr_page,) = of_class(parsed(page(block("x"), turn=90)), "ocr_page")
    assert ocr_page.get("title") == f"bbox 0 0 {WIDTH} {HEIGHT}; ppageno 0"


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_stays_text(name: str) -> None:
    text = HOSTILE[name]
    tree = parsed(page(block(text, text or "text"), block("after")))
    *_, last = of_class(tree, "ocr_line")
    assert last.text == "after"
    assert {node.tag for node in tree.iter()} <= {
        XHTML + tag
        for tag in ("html", "head", "title", "meta", "body", "div", "p", "span", "ul", "li")
    }
    shown = "".join("".join(tree.itertext()).split())
    for word in re.findall(r"[a-z]{4,}", text):
        assert word in shown


def test_a_failed_page_and_notices_are_in_it() -> None:
    tree = parsed(block_pages.everything(0), block_pages.failed(1))
    ocr_page = of_class(tree, "ocr_page")[1]
    assert ocr_page.get("title") == f"bbox 0 0 {WIDTH} {HEIGHT}; ppageno 1"
    assert (
        "".join(ocr_page.itertext()).strip()
        == "Page 2 failed: engine_crashed: signal 11 <b>--></b>"
    )
    (notices,) = of_class(tree, "notices")
    assert "".join(notices.itertext()).strip() == "a notice & <more>"
