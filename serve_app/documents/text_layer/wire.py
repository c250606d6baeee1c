"""A layer as bytes, for where pages are rendered in another process than they are predicted in.

JSON with the lines' texts and lengths, then one row of numbers for each character, then the pixels
of the rest. The reader believes nothing: a process that parses untrusted files may send anything.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt

from serve_app.document import DistrustedText
from serve_app.documents.text_layer.values import Char, LayerLine, PageLayer, Pixels, Rest

_LENGTH = struct.Struct("<I")
# Of a row: ink, cell, font, angle, size, mapped, drawn.
_COLUMNS = 13


def encode_layer(layer: PageLayer) -> list[bytes]:
    """The parts of a message; ``decode_layer`` of their concatenation gives the layer back."""
    chars = [char for line in layer.lines for char in line.chars]
    rows = np.array([_row(char) for char in chars], dtype="<f4").reshape(len(chars), _COLUMNS)
    head: dict[str, Any] = {
        "lines": [[line.text, line.box, line.angle, line.vertical] for line in layer.lines],
        "chars": [[char.text for char in line.chars] for line in layer.lines],
        "breaks": [[char.breaks for char in line.chars] for line in layer.lines],
        "fonts": layer.fonts,
        "total": layer.total,
        "distrusted": [asdict(one) for one in layer.distrusted],
    }
    parts = [rows.tobytes()]
    if layer.rest is not None:
        height, width = layer.rest.picture.shape[:2]
        head["rest"] = [layer.rest.left, layer.rest.top, width, height]
        parts.append(layer.rest.picture.tobytes())
    encoded = json.dumps(head).encode()
    return [_LENGTH.pack(len(encoded)), encoded, *parts]


def decode_layer(payload: bytes | memoryview) -> PageLayer:
    """Inverse of ``encode_layer``.

    Raises:
        ValueError: the payload is no such encoding.
    """
    try:
        return _decoded(memoryview(payload))
    except (KeyError, TypeError, IndexError, RecursionError, OverflowError, struct.error) as error:
        raise ValueError(f"not a text layer: {type(error).__name__}") from None


def _decoded(payload: memoryview) -> PageLayer:
    (length,) = _LENGTH.unpack_from(payload)
    head = json.loads(bytes(payload[4 : 4 + length]))
    body = payload[4 + length :]
    count = sum(len(texts) for texts in head["chars"])
    size = count * _COLUMNS * 4
    rows = np.frombuffer(body[:size], dtype="<f4").reshape(count, _COLUMNS)
    rest = _rest(head["rest"], body[size:]) if "rest" in head else None
    if rest is None and len(body) != size:
        raise ValueError("not a text layer: it is longer than it says")
    fonts = tuple(str(name) for name in head["fonts"])
    return PageLayer(
        tuple(_lines(head, rows, len(fonts))),
        fonts,
        int(head["total"]),
        tuple(DistrustedText(_name(one["font"]), str(one["why"])) for one in head["distrusted"]),
        rest,
    )


def _row(char: Char) -> list[float]:
    return [*char.ink, *char.cell, char.font, char.angle, char.size, char.mapped, char.drawn]


def _lines(
    head: Mapping[str, Any], rows: npt.NDArray[np.float32], fonts: int
) -> Iterator[LayerLine]:
    start = 0
    for (text, box, angle, vertical), texts, breaks in zip(
        head["lines"], head["chars"], head["breaks"], strict=True
    ):
        numbers = rows[start : start + len(texts)].tolist()
        start += len(texts)
        chars = tuple(_char(*one) for one in zip(texts, breaks, numbers, strict=True))
        if not chars or not all(0 <= char.font < fonts for char in chars):
            raise ValueError("not a text layer: a line without characters, or a font without name")
        left, top, right, bottom = (float(edge) for edge in box)
        yield LayerLine(str(text), (left, top, right, bottom), chars, float(angle), bool(vertical))


def _char(text: str, breaks: str, row: list[float]) -> Char:
    ink, cell = (row[0], row[1], row[2], row[3]), (row[4], row[5], row[6], row[7])
    font, angle, size, mapped, drawn = row[8:]
    return Char(str(text), ink, cell, int(font), angle, size, str(breaks), mapped > 0, drawn > 0)


def _rest(numbers: list[int], pixels: memoryview) -> Rest:
    left, top, width, height = (int(number) for number in numbers)
    if min(left, top) < 0 or min(width, height) < 1:
        raise ValueError("not a text layer: a picture without a place")
    picture: Pixels = np.frombuffer(pixels, dtype=np.uint8).reshape(height, width, 3)
    return Rest(left, top, picture.copy())


def _name(font: Any) -> str | None:
    return None if font is None else str(font)
