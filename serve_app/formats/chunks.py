"""A document as chunks for retrieval: JSON with pieces of text that stand on their own.

A chunk holds whole sentences of one section, at most as many characters as asked for, and says
where they stand: pages, boxes, and the headings above. Tables are chunks of their own, cut between
rows. One JSON object and not JSON lines: the answer is sent when it is whole, so lines would come
no sooner, and U+2028 in a text breaks readers that split lines by Unicode's rules.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from serve_app.document import Box, FailedPage, PageResult
from serve_app.formats.characters import one_line
from serve_app.formats.html import table_html
from serve_app.formats.pieces import EVERYTHING, Kind, Piece, Selection, pieces_of
from serve_app.formats.sentences import cut, sentences
from serve_app.formats.tables import Table
from serve_app.formats.writer import Document, utf8

DEFAULT_CHARS, MIN_CHARS, MAX_CHARS = 1200, 100, 20_000
PARAGRAPH = "\n\n"
ID_DIGITS = 16

Place: TypeAlias = tuple[int, Box]  # the page's number, and a box on it
Places: TypeAlias = Sequence[Place]


@dataclass(slots=True)
class _Buffer:
    """The chunk that grows."""

    text: str = ""
    kind: Kind = "text"
    places: dict[Place, None] = field(default_factory=dict)
    #: Whether it holds more than headings and what overlaps with the chunk before.
    has_own_text: bool = False
    table: str | None = None


class ChunksWriter:
    """See ``writer.py``.

    Args:
        max_chars: characters of a chunk's text, ``MIN_CHARS`` to ``MAX_CHARS``.
        overlap_chars: of the end of a chunk, as whole sentences, at the beginning of the next one
            of the same section; at most half of ``max_chars``.
        selection: what of a page is in chunks; other blocks are listed with their page.
    """

    media_type = "application/json"

    def __init__(
        self,
        max_chars: int = DEFAULT_CHARS,
        overlap_chars: int = 0,
        selection: Selection = EVERYTHING,
    ) -> None:
        self._max, self._overlap, self._selection = max_chars, overlap_chars, selection
        self._path: list[tuple[int, str]] = []
        self._buffer = _Buffer()
        self._separator = b""
        self._seen: dict[str, int] = {}
        self._pages: list[dict[str, Any]] = []
        self._runs_on = False

    def head(self, document: Document) -> Iterator[bytes]:
        """The document, as in ``format=json``."""
        facts = {"type": document.info.data_type, "pages": len(document.info.pages)}
        yield b'{"document":' + _dump(facts) + b',"chunks":['

    def page(self, page: PageResult) -> Iterator[bytes]:
        """The chunks that this page completes."""
        width, height = page.width, page.height
        facts: dict[str, Any] = {"page": page.index + 1, "width": width, "height": height}
        if left_out := [b.text for b in page.blocks if b.label in self._selection.omitted]:
            facts["furniture"] = left_out
        self._pages.append(facts)
        markdown = page.markdown
        continues = self._runs_on and markdown is not None and not markdown.is_start
        for piece in pieces_of(page, self._selection):
            places = [(page.index + 1, block.box) for block in piece.blocks]
            if piece.text.strip():
                yield from self._add(piece, places, continues=continues)
                continues = False
        self._runs_on = markdown is not None and not markdown.is_end

    def failed(self, page: FailedPage) -> Iterator[bytes]:
        """Listed in the tail; no chunk runs over it."""
        yield from self._flush()
        self._runs_on = False
        error = {"code": page.error.code, "message": str(page.error)}
        self._pages.append({"page": page.index + 1, "error": error})

    def tail(self, document: Document, notices: Sequence[str]) -> Iterator[bytes]:
        """The last chunk, the pages with their sizes in pixels, what was left out."""
        yield from self._flush()
        yield b'],"pages":' + _dump(self._pages) + b',"notices":' + _dump(list(notices)) + b"}"

    def _add(self, piece: Piece, places: Places, *, continues: bool) -> Iterator[bytes]:
        if piece.kind == "heading":
            yield from self._begin_section(piece, places)
        elif piece.table is not None:
            yield from self._add_table(piece.table, places)
        else:
            kind: Kind = piece.kind if piece.kind in ("code", "formula", "list") else "text"
            yield from self._add_text(piece.text.strip(), kind, places, continues=continues)

    def _begin_section(self, piece: Piece, places: Places) -> Iterator[bytes]:
        """Headings stand at the beginning of their section's first chunk.

        One whose section has no text of its own goes with the first heading below it.
        """
        goes_below = bool(self._path) and self._path[-1][0] < piece.level
        if self._buffer.has_own_text or not goes_below:
            yield from self._flush()
        self._path = [(level, text) for level, text in self._path if level < piece.level]
        self._path.append((piece.level, one_line(piece.text)))
        for part in cut(one_line(piece.text), self._max):
            if len(self._joined(part)) > self._max:
                yield from self._flush()
            self._append(part, PARAGRAPH, places)

    def _add_table(self, table: Table, places: Places) -> Iterator[bytes]:
        """Rows as lines; each further part repeats the rows that are all headers."""
        if self._buffer.has_own_text:
            yield from self._flush()
        rows = list(table.lines())
        head = "\n".join(rows[: table.header_rows])
        # A head that leaves no room for rows is not repeated.
        repeated = f"{head}\n" if 0 < len(head) <= self._max // 3 else ""
        whole, separator = True, PARAGRAPH
        for part in (part for row in rows for part in cut(row, self._max - len(repeated))):
            if len(self._joined(part, separator)) > self._max:
                whole = whole and not self._buffer.has_own_text
                yield from self._flush()
                self._append(f"{repeated}{part}" if not whole else part, "", places)
            else:
                self._append(part, separator, places)
            self._buffer.kind, self._buffer.has_own_text, separator = "table", True, "\n"
        if whole:
            self._buffer.table = table_html(table)
        yield from self._flush()

    def _add_text(
        self, text: str, kind: Kind, places: Places, *, continues: bool
    ) -> Iterator[bytes]:
        """A paragraph that fits into a chunk is not cut; a longer one is, between sentences."""
        separator = " " if continues else PARAGRAPH
        parts = [text] if len(text) <= self._max else self._parts(text, kind)
        for part in parts:
            if len(self._joined(part.rstrip(), separator)) > self._max:
                yield from self._flush(overlap=True)
                separator = " "
                if len(self._joined(part.rstrip(), separator)) > self._max:
                    self._buffer = _Buffer()  # no room for what overlaps
            self._append(part, separator, places)
            self._set_kind(kind)
            separator = ""

    def _parts(self, text: str, kind: Kind) -> Iterator[str]:
        whole = text.splitlines(keepends=True) if kind == "code" else sentences(text)
        for sentence in whole:
            yield from cut(sentence, self._max)

    def _set_kind(self, kind: Kind) -> None:
        """Of the first text; a chunk of several kinds is text."""
        mixed = self._buffer.has_own_text and self._buffer.kind != kind
        self._buffer.kind = "text" if mixed else kind
        self._buffer.has_own_text = True

    def _joined(self, text: str, separator: str = PARAGRAPH) -> str:
        return f"{self._buffer.text}{separator}{text}" if self._buffer.text else text

    def _append(self, text: str, separator: str, places: Places) -> None:
        self._buffer.text = self._joined(text, separator)
        self._buffer.places.update(dict.fromkeys(places))

    def _flush(self, *, overlap: bool = False) -> Iterator[bytes]:
        buffer, self._buffer = self._buffer, _Buffer()
        text = buffer.text.strip()
        if not text:
            return
        yield self._separator + _dump(self._chunk(buffer, text))
        self._separator = b",\n"
        if overlap and self._overlap:
            self._buffer.text = _ending(text, self._overlap)
            if self._buffer.text and buffer.places:
                self._buffer.places[next(reversed(buffer.places))] = None

    def _chunk(self, buffer: _Buffer, text: str) -> dict[str, Any]:
        path = [heading for _, heading in self._path]
        chunk = {
            "id": self._id(buffer.kind, path, text),
            "kind": buffer.kind if buffer.has_own_text else "heading",
            "text": text,
            "heading_path": path,
            "pages": sorted({number for number, _ in buffer.places}),
            "boxes": [{"page": number, "box": box} for number, box in buffer.places],
        }
        return chunk if buffer.table is None else {**chunk, "html": buffer.table}

    def _id(self, kind: str, path: Sequence[str], text: str) -> str:
        """The same for the same text in the same section, whatever else changed."""
        facts = json.dumps([kind, path, text])
        digest = hashlib.sha256(facts.encode()).hexdigest()[:ID_DIGITS]
        count = self._seen[digest] = self._seen.get(digest, 0) + 1
        return digest if count == 1 else f"{digest}-{count}"


def _ending(text: str, limit: int) -> str:
    """The last sentences of ``text`` that have at most ``limit`` characters."""
    kept = ""
    for sentence in reversed(list(sentences(text))):
        if len(sentence) + len(kept) > limit:
            break
        kept = sentence + kept
    return kept.strip()


def _dump(value: object) -> bytes:
    return utf8(json.dumps(value, ensure_ascii=False, separators=(",", ":")))
