"""What headers and notices say of text layers, over the pages of an answer."""

from __future__ import annotations

import pytest

from serve_app.api.layer_facts import LayerFacts
from serve_app.document import PageResult, TextLayerUse
from serve_app.documents.page_ranges import format_page_ranges


def page(index: int, use: TextLayerUse | None) -> PageResult:
    return PageResult(index, 10, 10, b"{}", (), text_layer=use)


def test_lines_are_summed_and_what_is_missing_names_its_pages() -> None:
    facts = LayerFacts()
    for index in range(6):
        missing = ("pictures were not read",) if index in (0, 1, 2, 4) else ()
        facts.add(page(index, TextLayerUse("only", 3, 3, missing=missing)))
    assert facts.headers() == {"x-ocr-layer-lines": "18"}
    assert facts.notices() == ["pictures were not read (pages 1-3,5)"]


def test_what_all_pages_miss_needs_no_numbers() -> None:
    facts = LayerFacts()
    facts.add(page(0, TextLayerUse("only", 0, 0, missing=("nothing was read",))))
    assert facts.notices() == ["nothing was read"]
    facts.add(page(1, TextLayerUse("only", 0, 0)))
    assert facts.notices() == ["nothing was read (page 1)"]


def test_without_a_layer_asked_for_nothing_is_said() -> None:
    facts = LayerFacts()
    facts.add(page(0, None))
    assert facts.headers() == {}
    assert facts.notices() == []


@pytest.mark.parametrize(
    ("use", "recognised"),
    [
        (None, True),
        (TextLayerUse("auto", 0, 0), True),
        (TextLayerUse("auto", 3, 4), True),
        (TextLayerUse("auto", 4, 4), False),
        (TextLayerUse("only", 0, 0), False),
    ],
)
def test_pages_without_recognition_teach_nothing_about_memory(
    use: TextLayerUse | None, recognised: bool
) -> None:
    assert page(0, use).recognised is recognised


def test_page_ranges() -> None:
    assert format_page_ranges([1, 2, 3, 7]) == "1-3,7"
    assert format_page_ranges([4]) == "4"
    assert format_page_ranges([]) == ""
