from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace
from typing import Any

import html5lib
import pytest

from serve_app.document import Markdown, PageResult
from serve_app.formats.html import HtmlWriter
from tests import block_pages, documents
from tests.block_pages import HOSTILE, block, page, written

TAGS = {"html", "head", "meta", "title", "style", "body", "section", "h1", "h2", "h3", "h4", "h5"}
TAGS |= {"h6", "p", "br", "ul", "li", "table", "tbody", "tr", "td", "th", "figure", "figcaption"}
TAGS |= {"img", "code", "pre", "strong", "footer"}


def parsed(data: bytes) -> Any:
    """The document, after a parser that follows the standard found nothing to complain about."""
    parser = html5lib.HTMLParser(strict=True, namespaceHTMLElements=False)
    return parser.parse(data.decode())


def whole(*pages: block_pages.Page, images: bool = True) -> bytes:
    if not images:
        without = Markdown("", {}, is_start=True, is_end=True)
        pages = tuple(
            replace(one, markdown=without) for one in pages if isinstance(one, PageResult)
        )
    return written(HtmlWriter(), *pages, notices=["a notice & <more>"])


def texts(tree: Any, tag: str) -> list[str]:
    return ["".join(node.itertext()) for node in tree.iter(tag)]


def test_a_page_with_all_kinds_of_blocks() -> None:
    tree = parsed(whole(block_pages.everything()))
    assert {node.tag for node in tree.iter() if isinstance(node.tag, str)} <= TAGS
    assert texts(tree, "h1") == ["A Title"]
    assert texts(tree, "h2") == ["Section"]
    assert texts(tree, "li") == ["one", "two", "1. first", "2. second", "a notice & <more>"]
    assert texts(tree, "figcaption") == ["Label in the picture"]
    assert texts(tree, "pre") == ["if a < b:\n    return"]
    assert texts(tree, "code") == ["E = mc^2"]
    assert "First sentence. Second one, which is\nmuch longer." in texts(tree, "p")
    assert texts(tree, "title") == ["a <name> & more.pdf"]


def test_spans_of_tables_survive() -> None:
    tree = parsed(whole(block_pages.everything()))
    cells = [
        (node.tag, "".join(node.itertext()), node.attrib)
        for node in tree.iter()
        if node.tag in ("td", "th")
    ]
    assert cells[1] == ("th", "Size", {"colspan": "2", "dir": "auto"})
    assert cells[2] == ("td", "Oak", {"rowspan": "2", "dir": "auto"})


def test_pictures_are_inside_or_left_out() -> None:
    jpeg = documents.picture("jpeg", 40, 30)
    (image,) = parsed(whole(block_pages.everything())).iter("img")
    assert image.attrib == {
        "alt": "",
        "src": "data:image/jpeg;base64," + base64.b64encode(jpeg).decode(),
    }
    without = whole(block_pages.everything(), images=False)
    assert list(parsed(without).iter("img")) == []
    assert b"Label in the picture" in without


def test_nothing_can_be_loaded_and_nothing_runs() -> None:
    data = whole(block_pages.everything()).decode()
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', data)
    (style,) = re.findall(r"<style>(.*?)</style>", data, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy.split("; ") == [
        "default-src 'none'",
        "img-src data:",
        f"style-src 'sha256-{digest}'",
        "base-uri 'none'",
        "form-action 'none'",
    ]
    assert not re.search(r"href|url\(|@import", data)
    assert all(
        url.startswith("data:image/jpeg;base64,") for url in re.findall(r'src="([^"]*)', data)
    )


@pytest.mark.parametrize(
    "label", ["text", "paragraph_title", "table", "image", "formula", "algorithm"]
)
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_stays_text(name: str, label: str) -> None:
    text = HOSTILE[name]
    data = whole(page(block(text, label, level=int(label == "paragraph_title")), block("after")))
    tree = parsed(data)
    assert {node.tag for node in tree.iter() if isinstance(node.tag, str)} <= TAGS
    assert texts(tree, "p")[-1] == "after"
    shown = "".join("".join(tree.itertext()).split())
    for word in re.findall(r"[a-z]{4,}", text):
        assert word in shown


def test_what_is_no_character_is_replaced_where_one_sees_it() -> None:
    data = whole(page(block("a\x00b\ud800c\x85d")))
    assert "a\ufffdb\ufffdc\ufffdd" in data.decode()


def test_a_failed_page_says_so_in_its_place() -> None:
    tree = parsed(
        whole(block_pages.everything(0), block_pages.failed(1), block_pages.everything(2))
    )
    assert [node.attrib["id"] for node in tree.iter("section")] == ["page-1", "page-2", "page-3"]
    (section,) = [node for node in tree.iter("section") if node.attrib["id"] == "page-2"]
    assert (
        "".join(section.itertext()).strip() == "Page 2 failed: engine_crashed: signal 11 <b>--></b>"
    )


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("正品促销大桶装", "zh"),
        ("これは日本語の文章です", "ja"),
        ("안녕하세요", "ko"),
        ("Hello", None),
        ("العربية", None),
    ],
)
def test_the_language_is_told_where_the_script_tells_it(text: str, language: str | None) -> None:
    (section,) = parsed(whole(page(block(text)))).iter("section")
    assert section.attrib.get("lang") == language
