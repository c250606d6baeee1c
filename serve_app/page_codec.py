"""Page results on the channel: a JSON table of contents, then the binary parts it names."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from serve_app.document import (
    Block,
    Box,
    DistrustedText,
    Line,
    LineSource,
    Markdown,
    PageResult,
    TextLayerUse,
)

_LENGTH = struct.Struct("<I")


def encode_result(result: PageResult) -> list[bytes]:
    """The parts of a payload; ``decode_result`` of their concatenation gives the result back."""
    blobs: list[bytes] = [result.pruned_json]
    meta: dict[str, Any] = {
        "index": result.index,
        "width": result.width,
        "height": result.height,
        "pruned": len(result.pruned_json),
        "text": list(result.text),
        "notices": list(result.notices),
        "angle": result.angle,
        "lines": [[line.text, line.box, line.score, line.source] for line in result.lines],
        "blocks": [asdict(block) for block in result.blocks],
        "images": _append(blobs, result.images),
        "exports": _append(blobs, result.exports),
    }
    if result.text_layer is not None:
        meta["text_layer"] = asdict(result.text_layer)
    if result.markdown is not None:
        meta["markdown"] = {
            "text": result.markdown.text,
            "is_start": result.markdown.is_start,
            "is_end": result.markdown.is_end,
            "images": _append(blobs, result.markdown.images),
        }
    head = json.dumps(meta).encode()
    return [_LENGTH.pack(len(head)), head, *blobs]


def decode_result(payload: bytes) -> PageResult:
    """Inverse of ``encode_result``.

    Raises:
        ValueError: the payload is not such an encoding (KeyError, TypeError are mapped to it).
    """
    try:
        (length,) = _LENGTH.unpack_from(payload)
        head = json.loads(payload[4 : 4 + length])
        blobs = _Blobs(payload, 4 + length)
        pruned = blobs.take(head["pruned"])
        images = blobs.take_all(head["images"])
        exports = blobs.take_all(head["exports"])
        markdown = None
        if "markdown" in head:
            md = head["markdown"]
            markdown = Markdown(
                md["text"], blobs.take_all(md["images"]), md["is_start"], md["is_end"]
            )
        return PageResult(
            index=head["index"],
            width=head["width"],
            height=head["height"],
            pruned_json=pruned,
            text=tuple(head["text"]),
            markdown=markdown,
            images=images,
            exports=exports,
            notices=tuple(head["notices"]),
            lines=tuple(_line(*one) for one in head["lines"]),
            blocks=tuple(_block(one) for one in head["blocks"]),
            angle=int(head["angle"]),
            text_layer=_text_layer(head["text_layer"]) if "text_layer" in head else None,
        )
    except (KeyError, TypeError, RecursionError, struct.error) as error:
        raise ValueError(f"not a page result: {type(error).__name__}") from None


def _line(text: str, box: Sequence[float], score: float, source: LineSource) -> Line:
    return Line(text, _box(box), score, source)


def _text_layer(told: Mapping[str, Any]) -> TextLayerUse:
    distrusted = tuple(DistrustedText(**one) for one in told["distrusted"])
    return TextLayerUse(**{**told, "distrusted": distrusted, "missing": tuple(told["missing"])})


def _block(told: Mapping[str, Any]) -> Block:
    return Block(**{**told, "box": _box(told["box"]), "lines": tuple(told["lines"])})


def _box(numbers: Sequence[float]) -> Box:
    left, top, right, bottom = numbers
    return left, top, right, bottom


def _append(blobs: list[bytes], named: Mapping[str, bytes]) -> list[tuple[str, int]]:
    blobs.extend(named.values())
    return [(name, len(data)) for name, data in named.items()]


class _Blobs:
    def __init__(self, payload: bytes, offset: int) -> None:
        self._payload, self._offset = payload, offset

    def take(self, length: int) -> bytes:
        end = self._offset + length
        if length < 0 or end > len(self._payload):
            raise ValueError("not a page result: a part is cut off")
        data = self._payload[self._offset : end]
        self._offset = end
        return data

    def take_all(self, table: list[tuple[str, int]]) -> dict[str, bytes]:
        return dict(self._items(table))

    def _items(self, table: list[tuple[str, int]]) -> Iterator[tuple[str, bytes]]:
        for name, length in table:
            yield name, self.take(length)
