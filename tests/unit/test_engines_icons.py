"""What the recogniser makes of icons beside a page's own text."""

from __future__ import annotations

import pytest

from serve_app.engines.icons import Icons

ENGLISH = ["Payment part and receipt", "due on the first"]


@pytest.mark.parametrize("text", ["日", "口 口", "凸", " 田 "])
def test_a_character_of_a_script_that_the_page_does_not_have_is_an_icon(text: str) -> None:
    assert Icons(ENGLISH).has(text)


@pytest.mark.parametrize("text", ["A", "4", "-", "日本語", "株式会社", "", "é", "Я"])
def test_words_and_letters_stay(text: str) -> None:
    assert not Icons(ENGLISH).has(text)


@pytest.mark.parametrize("layer", [[], ["Page 1"], [*ENGLISH, "東京"], ["1234567890" * 9]])
def test_where_the_scripts_are_not_known_nothing_is_an_icon(layer: list[str]) -> None:
    assert not Icons(layer).has("日")
