from __future__ import annotations

import re

import pytest
from lxml import etree

from serve_app.formats.alto import NAMESPACE, AltoWriter
from tests import block_pages
from tests.block_pages import HEIGHT, HOSTILE, WIDTH, block, page, written

ALTO = f"{{{NAMESPACE}}}"
# What the schema allows below each element, as far as it is used.
CHILDREN = {
    "alto": ["Description", "Layout"],
    "Description": ["MeasurementUnit", "sourceImageInformation", "Processing"],
    "sourceImageInformation": ["fileName"],
    "Processing": ["processingCategory", "processingSoftware"],
    "processingSoftware": ["softwareName"],
    "Layout": ["Page"],
    "Page": ["PrintSpace"],
    "PrintSpace": ["TextBlock", "Illustration", "ComposedBlock"],
    "ComposedBlock": ["TextBlock"],
    "TextBlock": ["TextLine"],
    "TextLine": ["String"],
}


def parsed(*pages: block_pages.Page, notices: list[str] | None = None) -> etree._Element:
    data = written(AltoWriter(), *pages, notices=notices or [])
    tree = etree.fromstring(data, etree.XMLParser(no_network=True, resolve_entities=False))
    for node in tree.iter(etree.Element):
        below = [child.tag.removeprefix(ALTO) for child in node.iterchildren(etree.Element)]
        assert set(below) <= set(CHILDREN.get(node.tag.removeprefix(ALTO), [])), node.tag
    return tree


def test_every_line_is_there_once_with_its_place_and_confidence() -> None:
    result = block_pages.everything()
    strings = list(parsed(result).iter(f"{ALTO}String"))
    assert [s.get("CONTENT") for s in strings] == [
        " ".join(line.text.split()) for line in result.lines
    ]
    assert dict(strings[0].attrib) == {
        "HPOS": "20.5",
        "VPOS": "10",
        "WIDTH": "479.5",
        "HEIGHT": "20",
        "WC": "0.987",
        "CONTENT": "A Title",
    }


def test_blocks_say_what_they_are() -> None:
    tree = parsed(block_pages.everything())
    assert [node.get("TYPE") for node in tree.iter(f"{ALTO}Illustration")] == ["image"]
    (table,) = tree.iter(f"{ALTO}ComposedBlock")
    assert table.get("TYPE") == "table"
    assert len(list(table.iter(f"{ALTO}String"))) == 1


def test_a_page_has_its_size_and_number() -> None:
    first, second = parsed(page(block("x"), index=0), page(block("x"), index=1, turn=270)).iter(
        f"{ALTO}Page"
    )
    assert (first.get("WIDTH"), first.get("HEIGHT"), first.get("PHYSICAL_IMG_NR")) == (
        "600",
        "800",
        "1",
    )
    assert (second.get("WIDTH"), second.get("HEIGHT"), second.get("PHYSICAL_IMG_NR")) == (
        "600",
        "800",
        "2",
    )


def test_ids_are_unique_over_pages() -> None:
    tree = parsed(*(block_pages.everything(index) for index in range(3)))
    ids = [node.get("ID") for node in tree.iter(etree.Element) if node.get("ID")]
    assert len(ids) == len(set(ids)) > 30


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_stays_text(name: str) -> None:
    text = HOSTILE[name]
    tree = parsed(
        page(block(text, "image", image=text or None), block(text), block("after")), notices=[text]
    )
    strings = [node.get("CONTENT") or "" for node in tree.iter(f"{ALTO}String")]
    assert strings[-1] == "after"
    for word in re.findall(r"[a-z]{4,}", text):
        assert any(word in string for string in strings)


def test_a_failed_page_is_missing_and_says_why() -> None:
    _, second = parsed(block_pages.everything(0), block_pages.failed(1)).iter(f"{ALTO}Page")
    assert second.get("QUALITY") == "Missing"
    assert second.get("QUALITY_DETAIL") == "engine_crashed: signal 11 <b>--></b>"
    assert (second.get("WIDTH"), second.get("HEIGHT")) == (str(WIDTH), str(HEIGHT))
    assert len(second) == 0


def test_notices_are_comments() -> None:
    tree = parsed(page(block("x")), notices=["one -- two --> three"])
    (comment,) = tree.iter(etree.Comment)
    assert comment.text == " notice: one ‐‐ two ‐‐&gt; three "
