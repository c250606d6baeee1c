"""What a PDF says itself, so that no line is written a second time.

Lines that were taken from the text layer say so (``source``). This is for those that were
recognised although the file has them: the layer was not asked for, or a part of it not believed.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

from serve_app.document import Line
from serve_app.documents.pdf import open_pdf
from serve_app.formats.pdf_text import Frame

# Part of the letters that agree where both say the same; recognition errs in some of them.
_ALIKE = 0.6
_COMPARED_CHARS = 300


class OwnText:
    """Of one file, opened when first asked.

    Raises (from ``missing``):
        EncryptedFile, InvalidFile: PDFium cannot open it.
    """

    def __init__(self, data: bytes | memoryview) -> None:
        self._data = data
        self._open = ExitStack()
        self._document: Any = None

    def missing(self, lines: Sequence[Line], index: int, frame: Frame) -> list[Line]:
        """Those lines of page ``index`` that the page does not say in their place."""
        if self._document is None:
            self._document = self._open.enter_context(open_pdf(self._data))
        page = self._document[index]
        try:
            text = page.get_textpage()
            try:
                if text.count_chars() < 1:
                    return list(lines)
                return [line for line in lines if not _says(text, line, frame)]
            finally:
                text.close()
        finally:
            page.close()

    def close(self) -> None:
        """Let go of the file."""
        self._document = None
        self._open.close()


def _says(text: Any, line: Line, frame: Frame) -> bool:
    left, bottom, right, top = frame.on_page(line.box)
    there = text.get_text_bounded(left, bottom, right, top)
    one, other = _letters(line.text), _letters(there)
    if not one or not other:
        return not one
    return difflib.SequenceMatcher(None, one, other, autojunk=False).ratio() >= _ALIKE


def _letters(text: str) -> str:
    return "".join(char for char in text.casefold() if char.isalnum())[:_COMPARED_CHARS]
