"""What the soak reads: forty pages of forty sizes, the same for every contender and every run.

From 200 x 150 to 1600 x 2200 pixels, in even steps of the area's logarithm, so that most are small;
landscape and portrait by turns. On each there are one to four lines of a few words in letters of
one size relative to the page: their widths, too, differ from page to page. No two pages have the
same size, since a runtime that keeps something for every shape it meets grows only then.
"""

from __future__ import annotations

import math
import random

from tests.bench.corpus import Sample
from tests.documents import encoded, text_picture

SIZES = 40
SEED = 3
SMALLEST, LARGEST = (200, 150), (1600, 2200)
# width / height, by turns: the first is the smallest page's, the last the largest one's.
ASPECTS = (200 / 150, 1 / math.sqrt(2), 3 / 2, 1600 / 2200)
VOCABULARY = (
    "invoice amount total tax date order number street city country delivery payment due item"
    " price quantity discount account balance transfer customer reference page note signature"
)


def sizes() -> list[tuple[int, int]]:
    """Width and height of each page, pixels, from the smallest area to the largest."""
    low, high = math.prod(SMALLEST), math.prod(LARGEST)
    found = []
    for number in range(SIZES):
        area = low * (high / low) ** (number / (SIZES - 1))
        aspect = ASPECTS[number % len(ASPECTS)]
        found.append((round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))))
    return found


def pages() -> list[Sample]:
    """The pages as JPEG files, in the order of `sizes`."""
    chance = random.Random(SEED)
    return [_page(width, height, chance) for width, height in sizes()]


def order(count: int, seed: int = SEED) -> list[int]:
    """Which page each of ``count`` requests is for: all in a shuffled order, again and again."""
    chance = random.Random(seed)
    found: list[int] = []
    while len(found) < count:
        found += chance.sample(range(SIZES), SIZES)
    return found[:count]


def _page(width: int, height: int, chance: random.Random) -> Sample:
    font_px = max(16, min(width, height) // 20)
    words = max(2, width // (6 * font_px))  # as many as fit, at about five letters a word
    lines = [
        " ".join(chance.choices(VOCABULARY.split(), k=words)) for _ in range(chance.randint(1, 4))
    ]
    text = "\n".join(lines)
    picture = text_picture(text, width=width, height=height, font_px=font_px)
    name = f"{width}x{height}"
    return Sample(name, name, "jpeg", 1, encoded(picture, "jpeg", quality=90), text)
