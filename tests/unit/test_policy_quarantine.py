"""Pages in quarantine: known again by their content, for a time, in a bounded number."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from serve_app.policy.quarantine import PageKey, Quarantine

PAGE = PageKey("aa", 0, "ocr")


def quarantine(max_pages: int = 3, expire_s: float = 100) -> Quarantine:
    return Quarantine(max_pages=max_pages, expire_s=expire_s)


def test_only_the_very_page_for_the_very_model_is_in_quarantine() -> None:
    pages = quarantine()
    pages.add(PAGE, "signal 11", 0)
    assert pages.cause(PAGE, 1) == "signal 11"
    others = [PAGE._replace(page=1), PAGE._replace(file_sha256="bb"), PAGE._replace(model="b")]
    assert [pages.cause(other, 1) for other in others] == [None] * 3


def test_it_ends_by_itself() -> None:
    pages = quarantine(expire_s=100)
    pages.add(PAGE, "signal 11", 0)
    assert pages.cause(PAGE, 99.9)
    assert pages.cause(PAGE, 100) is None
    assert len(pages) == 0


def test_a_page_that_comes_again_begins_anew() -> None:
    pages = quarantine(expire_s=100)
    pages.add(PAGE, "signal 11", 0)
    pages.add(PAGE, "signal 6", 50)
    assert pages.cause(PAGE, 149) == "signal 6"


@given(st.lists(st.integers(0, 9), max_size=40), st.integers(1, 4))
def test_never_more_than_so_many_and_the_oldest_goes_first(
    numbers: list[int], max_pages: int
) -> None:
    pages = quarantine(max_pages)
    for now, number in enumerate(numbers):
        pages.add(PAGE._replace(page=number), str(number), now)
    newest = list(dict.fromkeys(reversed(numbers)))[:max_pages]
    now = len(numbers)
    held = {n for n in range(10) if pages.cause(PAGE._replace(page=n), now)}
    assert held == set(newest)
    assert len(pages) == len(newest)
