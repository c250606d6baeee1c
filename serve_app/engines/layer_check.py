"""A look at the page before the text layer is believed: a few words of each font are recognised.

A font's map to Unicode may name wrong letters throughout. What it says then looks like text, so
only the page can tell. Fonts of a script that the recogniser does not know (its alphabet says
which) are not compared; and where some of their characters mean nothing, the others are kept, for
the recogniser has nothing better.
"""

from __future__ import annotations

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher

import numpy as np

from serve_app.document import Box, DistrustedText
from serve_app.documents.text_layer.rest import rest_with
from serve_app.documents.text_layer.suspicion import MARK, broken, suspicious_fonts, without
from serve_app.documents.text_layer.values import Char, LayerLine, PageLayer, Pixels, around

# Reads pictures of lines, in this order.
Recognize = Callable[[list[Pixels]], list[str]]

SAMPLE_CHARS = 16
FIRST_SAMPLES, MORE_SAMPLES = 2, 3
# Fewer characters than that say nothing.
MIN_COMPARED = 3
KNOWN_FRACTION = 0.8
AGREEMENT = 0.6
# Beyond them a page is unusual enough to be recognised.
MAX_FONTS = 32
MIN_SIZE_PIXELS, MAX_SIZE_PIXELS = 9.0, 150.0
MARGIN_PIXELS = 2

# Dots from a title to its page: their number is not read, and is of no use.
_LEADERS = frozenset(".…·․‥-_")
_ALIKE = str.maketrans("“”„‟‘’‚‛–—‐‑−·", '""""' + "''''" + "-----" + ".")


@dataclass(frozen=True, slots=True)
class _Sample:
    chars: tuple[Char, ...]
    box: Box
    quarters: int

    def count(self, font: int) -> int:
        return sum(char.font == font and char.text not in _LEADERS for char in self.chars)


def checked(
    layer: PageLayer, pixels: Pixels, recognize: Recognize, alphabet: frozenset[str]
) -> PageLayer:
    """``layer`` without what it has in fonts that say something else than the page shows.

    Args:
        layer: of the page.
        pixels: the page, BGR.
        recognize: the recogniser.
        alphabet: the characters that it knows.
    """
    strange = _strange(layer.lines, alphabet)
    doubtful = suspicious_fonts(layer.lines, layer.fonts)
    left_out = {font: told for font, told in doubtful.items() if font not in strange}
    kept = [
        DistrustedText(told.font, f"{told.why} ({MARK}); the recogniser does not know the others")
        for font, told in doubtful.items()
        if font in strange
    ]
    sound = without(layer.lines, left_out, spared=strange)
    if liars := _liars(sound.kept, layer.fonts, pixels, recognize, alphabet):
        left_out |= liars
        sound = without(layer.lines, left_out, spared=strange)
    told = [*left_out.values(), *kept]
    if sound.left_out and not left_out:
        told.append(broken(len(sound.left_out)))
    return replace(
        layer,
        lines=sound.kept,
        distrusted=(*layer.distrusted, *told),
        rest=rest_with(layer.rest, pixels, sound.left_out),
    )


def _strange(lines: Iterable[LayerLine], alphabet: frozenset[str]) -> frozenset[int]:
    """Fonts most of whose letters the recogniser does not know."""
    letters: Counter[int] = Counter()
    known: Counter[int] = Counter()
    for char in (char for line in lines for char in line.chars):
        if char.text.isalpha():
            letters[char.font] += 1
            known[char.font] += _normal(char.text) <= alphabet
    return frozenset(font for font in letters if alphabet and known[font] * 2 < letters[font])


def _liars(
    lines: Iterable[LayerLine],
    fonts: Sequence[str],
    pixels: Pixels,
    recognize: Recognize,
    alphabet: frozenset[str],
) -> dict[int, DistrustedText]:
    samples = _samples(lines, alphabet)
    liars: dict[int, DistrustedText] = {}
    if len(samples) > MAX_FONTS:
        by_use = sorted(samples, key=lambda font: -sum(s.count(font) for s in samples[font]))
        for font in by_use[MAX_FONTS:]:
            why = f"more than {MAX_FONTS} fonts on a page: not compared with what is to be seen"
            liars[font] = DistrustedText(fonts[font], why)
            del samples[font]
    first = {font: found[:FIRST_SAMPLES] for font, found in samples.items()}
    compared = _compared(first, pixels, recognize, alphabet)
    doubtful = {
        font: samples[font][FIRST_SAMPLES : FIRST_SAMPLES + MORE_SAMPLES]
        for font, (agreed, of) in compared.items()
        if of >= MIN_COMPARED and agreed < AGREEMENT * of
    }
    for font, (agreed, of) in _compared(doubtful, pixels, recognize, alphabet).items():
        agreed, of = agreed + compared[font][0], of + compared[font][1]
        if agreed < AGREEMENT * of:
            why = f"{of - agreed} of {of} characters are not those that are to be seen"
            liars[font] = DistrustedText(fonts[font], why)
    return liars


def _samples(lines: Iterable[LayerLine], alphabet: frozenset[str]) -> dict[int, list[_Sample]]:
    """By font, the samples with most of its characters first."""
    found: dict[int, list[_Sample]] = defaultdict(list)
    for line in lines:
        if line.vertical or line.angle % 90:
            continue
        for font in line.fonts:
            if (sample := _sample(line, font, alphabet)) is not None:
                found[font].append(sample)
    for font, samples in found.items():
        samples.sort(key=lambda sample: -sample.count(font))
    return {
        font: samples
        for font, samples in found.items()
        if sum(sample.count(font) for sample in samples) >= MIN_COMPARED
    }


def _sample(line: LayerLine, font: int, alphabet: frozenset[str]) -> _Sample | None:
    start = next(
        (i for i, char in enumerate(line.chars) if char.font == font and char.text not in _LEADERS),
        None,
    )
    if start is None:
        return None
    chars = line.chars[start : start + SAMPLE_CHARS]
    known = sum(_normal(char.text) <= alphabet for char in chars)
    size = max(char.size for char in chars)
    if known < KNOWN_FRACTION * len(chars) or not MIN_SIZE_PIXELS <= size <= MAX_SIZE_PIXELS:
        return None
    left, top, right, bottom = around([char.cell for char in chars])
    if line.angle % 180:
        left, right = line.box[0], line.box[2]
    else:
        top, bottom = line.box[1], line.box[3]
    return _Sample(chars, (left, top, right, bottom), round(line.angle / 90))


def _normal(text: str) -> set[str]:
    return set(unicodedata.normalize("NFKC", text).translate(_ALIKE))


def _compared(
    samples: dict[int, list[_Sample]],
    pixels: Pixels,
    recognize: Recognize,
    alphabet: frozenset[str],
) -> dict[int, tuple[int, int]]:
    """By font: characters that agree, and characters compared."""
    order = [(font, sample) for font, found in samples.items() for sample in found]
    pictures = [_picture(sample, pixels) for _, sample in order]
    texts = recognize(pictures) if pictures else []
    counts = dict.fromkeys(samples, (0, 0))
    for (font, sample), text in zip(order, texts, strict=True):
        agreed, of = _agreement(sample.chars, font, text, alphabet)
        counts[font] = counts[font][0] + agreed, counts[font][1] + of
    return counts


def _picture(sample: _Sample, pixels: Pixels) -> Pixels:
    left, top = (max(int(np.floor(edge)) - MARGIN_PIXELS, 0) for edge in sample.box[:2])
    right, bottom = (int(np.ceil(edge)) + MARGIN_PIXELS for edge in sample.box[2:])
    return np.ascontiguousarray(np.rot90(pixels[top:bottom, left:right], sample.quarters))


def _agreement(
    chars: Sequence[Char], font: int, text: str, alphabet: frozenset[str]
) -> tuple[int, int]:
    said: list[str] = []
    counts: list[bool] = []
    for char in chars:
        for point in unicodedata.normalize("NFKC", char.text).translate(_ALIKE).casefold():
            said.append(point)
            known = point in alphabet or point.upper() in alphabet
            counts.append(char.font == font and known and point not in _LEADERS)
    seen = [
        point
        for point in unicodedata.normalize("NFKC", text).translate(_ALIKE).casefold()
        if not point.isspace()
    ]
    matcher = SequenceMatcher(a=said, b=seen, autojunk=False)
    agreed = sum(
        sum(counts[block.a : block.a + block.size]) for block in matcher.get_matching_blocks()
    )
    return agreed, sum(counts)
