"""How well a page was read, in numbers: words, digits, lost lines, order. Pure.

A word is a run of letters and digits (``tests/word_f1.py``); of Chinese and Japanese, which have
no spaces, each character is one.

Not measured: headings, tables' structure, and what a text layer does not hold.
"""

from __future__ import annotations

import html
import re
import unicodedata
from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Iterable, Sequence

from tests.word_f1 import word_list

# A line may come back in pieces (table cells, a mended hyphen), so short runs of it are looked for.
_PIECE = 6
_FOUND_SHARE = 0.5
_NGRAM = 3

_WITHOUT_SPACES = re.compile(
    "[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]|[^\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]+"
)
_DATA_URI = re.compile(r"data:[a-z/+.-]+;base64,[A-Za-z0-9+/=]*")
_IMAGE = re.compile(r"!\[([^\[\]\n]{0,200})\]\([^()\s]{0,300}\)")
_TAG = re.compile(r"</?[a-zA-Z][^<>]{0,2000}>")
_CELL_END = re.compile(r"</t[dh]>|<br\s*/?>", re.IGNORECASE)
_ESCAPED = re.compile(r"\\([!-/:-@\[-`{-~])")


def tokens(text: str) -> list[str]:
    """The words of ``text``, normalised, in order."""
    return [piece for word in word_list(text) for piece in _WITHOUT_SPACES.findall(word)]


def plain_text(markdown: str) -> str:
    """What a reader of rendered Markdown sees of it, near enough for words."""
    text = _DATA_URI.sub("", markdown)
    text = _IMAGE.sub(r" ", text)
    text = _CELL_END.sub("\n", text)
    text = html.unescape(_TAG.sub("", text))
    return _ESCAPED.sub(r"\1", text)


def f1(read: Sequence[str], true: Sequence[str]) -> float:
    """Harmonic mean of precision and recall of the multisets; 1.0 when both are empty."""
    common = (Counter(read) & Counter(true)).total()
    return 2 * common / (len(read) + len(true)) if read or true else 1.0


def recall(read: Sequence[str], true: Sequence[str]) -> float:
    """Share of the true words that were read: text in pictures, which no layer has, is no error."""
    return (Counter(read) & Counter(true)).total() / len(true) if true else 1.0


def with_digits(words: Iterable[str]) -> list[str]:
    """Those that hold a digit: amounts, dates, numbers, where one wrong character matters."""
    return [word for word in words if any(character.isdigit() for character in word)]


def lost_lines(lines: Iterable[str], kept: str) -> list[str]:
    """The lines whose text is not in ``kept`` as often as it is among the lines.

    A line counts as kept if its letters and digits stand there in a row, or if at least half of
    its runs of six do. Lines without letters and digits are not looked for; a very short line may
    be found inside another one.
    """
    text = _squeezed(kept)
    left = Counter[str]()
    lost = []
    for line in lines:
        wanted = _squeezed(line)
        if not wanted:
            continue
        if wanted not in left:
            left[wanted] = text.count(wanted)
        if left[wanted] > 0:
            left[wanted] -= 1
        elif _share_of_pieces(wanted, text) < _FOUND_SHARE or wanted in text:
            lost.append(line)
    return lost


def order_score(read: Sequence[str], true: Sequence[str]) -> tuple[float, int] | None:
    """Kendall's tau between the orders of what both hold exactly once, -1 to 1, and of how many.

    Compared are runs of three words (of one, where a page is that short), so that a word that is
    twice on the page says nothing wrong. None if fewer than two are common.
    """
    for length in (_NGRAM, 1):
        places = _places(true, length)
        mine = _places(read, length)
        ranks = [places[run] for run in mine if run in places]
        if len(ranks) >= 2:
            return kendall_tau(ranks), len(ranks)
    return None


def kendall_tau(ranks: Sequence[int]) -> float:
    """1 if the distinct numbers rise, -1 if they fall, 0 for no order at all."""
    seen: list[int] = []
    inversions = 0
    for rank in ranks:
        inversions += len(seen) - bisect_left(seen, rank)
        insort(seen, rank)
    pairs = len(ranks) * (len(ranks) - 1) // 2
    return 1 - 2 * inversions / pairs


def _places(words: Sequence[str], length: int) -> dict[tuple[str, ...], int]:
    """Where each run of words that occurs once begins, in order."""
    runs = [tuple(words[at : at + length]) for at in range(len(words) - length + 1)]
    counts = Counter(runs)
    return {run: at for at, run in enumerate(runs) if counts[run] == 1}


def _squeezed(text: str) -> str:
    folded = unicodedata.normalize("NFKC", text).casefold()
    return "".join(character for character in folded if character.isalnum())


def _share_of_pieces(wanted: str, text: str) -> float:
    pieces = [wanted[at : at + _PIECE] for at in range(len(wanted) - _PIECE + 1)]
    return sum(piece in text for piece in pieces) / len(pieces) if pieces else 0.0
