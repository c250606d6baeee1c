"""Word F1 between what OCR has read and a PDF's own text layer; without regard to reading order.

A digital PDF knows its own text: its pages are rendered, read as pictures, and the words compared
as multisets. Both sides are normalised alike: NFKC (ligatures, full-width forms), case folded,
letters and digits only. Not covered: the order of words, and what the text layer does not hold.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import pypdfium2

_WORD = re.compile(r"[^\W_]+")
# A word broken at the end of a line: PDFium marks its hyphen as U+FFFE (or U+0002), OCR reads "-".
_PDFIUM_HYPHEN = re.compile("[\ufffe\u0002]\r?\n?")
_BROKEN = re.compile(r"(?<=[^\W\d_])[-\u00ad\u2010]\s*\n\s*(?=[^\W\d_])")


@dataclass(frozen=True, slots=True)
class WordScore:
    """How many words the two sides have in common.

    Attributes:
        common: size of the intersection of the multisets.
        read, true: number of words that OCR gave, and that the text layer has.
        missing, extra: the words of one side only, for people.
    """

    common: int
    read: int
    true: int
    missing: tuple[str, ...]
    extra: tuple[str, ...]

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall; 1.0 when both sides are empty."""
        return 2 * self.common / (self.read + self.true) if self.read + self.true else 1.0


def words(text: str) -> Counter[str]:
    """The words of ``text``, normalised; a word broken at a line's end counts as one."""
    return Counter(word_list(text))


def word_list(text: str) -> list[str]:
    """The same in their order."""
    text = unicodedata.normalize("NFKC", _BROKEN.sub("", text))
    return _WORD.findall(text.casefold())


def compare(read: str, true: str) -> WordScore:
    """Score the text that was ``read`` against the ``true`` one."""
    ours, theirs = words(read), words(true)
    return WordScore(
        common=(ours & theirs).total(),
        read=ours.total(),
        true=theirs.total(),
        missing=tuple(sorted((theirs - ours).elements())),
        extra=tuple(sorted((ours - theirs).elements())),
    )


def text_layer(pdf: bytes) -> list[str]:
    """The text of each page of a digital PDF."""
    document = pypdfium2.PdfDocument(pdf)
    try:
        return [_page_text(document, index) for index in range(len(document))]
    finally:
        document.close()


def joined(lines: Iterable[str]) -> str:
    """Lines of OCR as one text, in which `words` finds words broken at a line's end."""
    return "\n".join(lines)


def _page_text(document: pypdfium2.PdfDocument, index: int) -> str:
    page = document[index]
    text = page.get_textpage().get_text_range()
    return _PDFIUM_HYPHEN.sub("-\n", str(text))
