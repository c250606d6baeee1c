"""Whatever is on a page: every line is in exactly one block, and it takes no time."""

from __future__ import annotations

import os
import random
import re
import time
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serve_app.document import Line, PageResult
from serve_app.layout.compose import compose
from serve_app.layout.furniture import decide, edges_of, settle
from serve_app.layout.labels import FURNITURE, PICTURES, SOLID
from serve_app.layout.markdown import Style, write
from serve_app.layout.page import Page, Point, Region
from tests.layouts import prose, stack

# By default a few, always the same; `OCR_SERVE_FUZZ_EXAMPLES` asks for more (`make fuzz`).
EXAMPLES = os.environ.get("OCR_SERVE_FUZZ_EXAMPLES")
explored = settings(
    max_examples=int(EXAMPLES or 150),
    derandomize=EXAMPLES is None,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)

LABELS = [
    *sorted(SOLID | FURNITURE),
    "text",
    "paragraph_title",
    "doc_title",
    "reference",
    "content",
    "algorithm",
    "aside_text",
    "figure_title",
    "something new",
]
HTML = (
    "",
    "no table",
    "<table><tr><td>1</td><td>Hello</td></tr></table>",
    "<html><body><table><tr><td rowspan='99'>x</td></tr><tr></tr></table></body></html>",
    "<td>a<table><script>alert(1)</script>",
)
WORDS = (
    *("", " ", "1", "a", "-", "•", "Hello", "World-", "continued", "1. First", "• item"),
    *(
        "第二章",
        "日本語の文章です",
        "مرحبا بالعالم",
        "3.50 €",
        "Name:",
        "12",
        "Total",
        "<b>",
        "\u00ad",
    ),
    *("A long line of running text that fills a column", "# no heading", "[a](javascript:x)"),
    *("\x00\x85\u2028", "....... 12", "https://example.org/", "$x^2$", "ends with a stop."),
)
FENCED = re.compile(r"^(`{3,})\n.*?\n\1$", re.MULTILINE | re.DOTALL)
WILD = (0.0, -1.0, 1e-300, 1e300, -1e300, 7.0, 1000.0, float("nan"), float("inf"), float("-inf"))


def a_box(chance: random.Random, wild: bool) -> tuple[float, float, float, float]:
    if wild:
        numbers = [chance.choice(WILD) for _ in range(4)]
        return numbers[0], numbers[1], numbers[2], numbers[3]
    left, top = float(chance.randint(-50, 1000)), float(chance.randint(-50, 1400))
    high = chance.choice([0, 1, 12, 20, 20, 20, 21, 40, 300])
    return left, top, left + chance.randint(-5, 900), top + high


def a_column(chance: random.Random) -> list[Line]:
    left, top = chance.randint(0, 800), chance.randint(0, 1200)
    step, letter = chance.choice([20, 25, 27, 45]), chance.choice([6, 10])
    texts = [chance.choice(WORDS) for _ in range(chance.randint(1, 20))]
    tops = (top + number * step for number in range(len(texts)))
    code = chance.random() < 0.1
    return [
        Line(
            text,
            (left, y, left + letter * len(text) + chance.randint(0, 200), y + 20),
            0.9,
            is_code=code and chance.random() < 0.9,
        )
        for text, y in zip(texts, tops, strict=True)
    ]


def a_page(chance: random.Random) -> Page:
    """Lines anywhere, columns, and regions of any label, from tame to absurd."""
    wild = chance.random() < 0.1
    lines = [
        Line(chance.choice(WORDS), a_box(chance, wild), chance.random())
        for _ in range(chance.choice([0, 1, 2, 5, 20]))
    ]
    for _ in range(chance.choice([0, 0, 1, 2, 3])):
        lines += a_column(chance)
    regions = [
        Region(
            chance.choice(LABELS),
            a_box(chance, wild),
            chance.choice(HTML),
            chance.choice([None, "imgs/a.jpg"]),
        )
        for _ in range(chance.choice([0, 1, 3, 6]))
    ]
    corners = []
    if chance.random() < 0.5:
        slope = chance.choice([0.0, 0.05, -0.1, 0.3])
        corners = [outline(line.box, slope) for line in lines]
    sizes = [0, 1, 1000, 1400]
    return Page(chance.choice(sizes), chance.choice(sizes), lines, corners, regions)


def outline(box: tuple[float, float, float, float], slope: float) -> tuple[Point, ...]:
    left, top, right, bottom = box
    rise = (right - left) * slope
    return (left, top), (right, top + rise), (right, bottom + rise), (left, bottom)


pages = st.integers(0, 2**64).map(lambda seed: a_page(random.Random(seed)))


def result_of(page: Page) -> PageResult:
    lines = tuple(page.lines)
    return PageResult(0, page.width, page.height, b"{}", (), lines=lines, blocks=compose(page))


@explored
@given(pages)
def test_every_line_is_in_exactly_one_block(page: Page) -> None:
    assert_whole(page)


@pytest.mark.long
def test_every_line_is_in_exactly_one_block_of_100_000_pages() -> None:
    for seed in range(100_000):
        assert_whole(a_page(random.Random(seed)))


def assert_whole(page: Page) -> None:
    """Every line is in one block, and what can be read of it is in the Markdown."""
    blocks = compose(page)
    held = Counter(line for block in blocks for line in block.lines)
    assert held == Counter(range(len(page.lines)))
    written = squeezed(write(blocks, list(page.lines), page.width).text)
    for one in page.lines:
        assert squeezed(one.text) in written, one


@explored
@given(pages)
def test_no_html_and_no_link_of_the_document_survives(page: Page) -> None:
    text = write(compose(page), list(page.lines), page.width).text
    text = FENCED.sub("", text)  # shown as it is, whatever it is
    assert "<script" not in text
    assert "<b>" not in text or "<td>" in text  # inside a table's cell bold is harmless
    assert "[a](javascript" not in text


@explored
@given(st.lists(pages, min_size=1, max_size=6))
def test_furniture_takes_no_line_away(found: list[Page]) -> None:
    results = [result_of(page) for page in found]
    chosen = decide([edges_of(result) for result in results])
    for result, lines in zip(results, chosen, strict=True):
        settled = settle(result, lines)
        held = Counter(line for block in settled.blocks for line in block.lines)
        assert held == Counter(range(len(result.lines)))
        out = {line for block in settled.blocks if block.label in FURNITURE for line in block.lines}
        assert out == set(lines)
        assert 2 * len(lines) <= len(result.lines)


@pytest.mark.parametrize("kind", ["columns", "scattered", "table", "spiral", "one place"])
def test_five_thousand_lines_take_less_than_a_few_seconds(kind: str) -> None:
    """Quadratic time would take minutes. Alone on a core it is below a second."""
    page = Page(3000, 30000, many_lines(kind), (), [])
    began = time.process_time()
    blocks = compose(page)
    write(blocks, list(page.lines), page.width, Style())
    assert time.process_time() - began < 4
    assert sum(len(block.lines) for block in blocks) == 5000


def many_lines(kind: str) -> list[Line]:
    chance = random.Random(7)
    if kind == "columns":
        texts = prose("some words of running text", 1000, 40)
        return [one for column in range(5) for one in stack(texts, 50 + column * 500, 50)]
    if kind == "scattered":
        return [
            Line("word", (x, y, x + 60, y + 20), 1.0)
            for x, y in ((chance.uniform(0, 2900), chance.uniform(0, 29000)) for _ in range(5000))
        ]
    if kind == "table":
        return [
            Line(str(row), (column * 250, row * 28, column * 250 + 90, row * 28 + 20), 1.0)
            for row in range(500)
            for column in range(10)
        ]
    if kind == "spiral":
        lines, box = [], [0.0, 0.0, 3000.0, 30000.0]
        for number in range(5000):
            side = number % 4
            box[side] += 2 if side < 2 else -2
            thin = [*box]
            thin[(side + 2) % 4] = box[side] + (1 if side < 2 else -1)
            lines.append(Line("a", (thin[0], thin[1], thin[2], thin[3]), 1.0))
        return lines
    return [Line("same place", (10, 10, 100, 30), 1.0)] * 5000


def squeezed(text: str) -> str:
    return "".join(char for char in text.casefold() if char.isalnum())


def test_the_labels_of_pictures_are_solid() -> None:
    assert PICTURES <= SOLID
