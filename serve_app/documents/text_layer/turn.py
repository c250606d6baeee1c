"""A layer on a page that was turned by a multiple of 90 degrees."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from serve_app.document import Box
from serve_app.documents.text_layer.values import LayerLine, PageLayer, Rest


def turned_box(box: Box, quarters: int, width: int, height: int) -> Box:
    """Where a box of a page of ``width`` x ``height`` is after turns counterclockwise."""
    left, top, right, bottom = box
    match quarters % 4:
        case 1:
            return top, width - right, bottom, width - left
        case 2:
            return width - right, height - bottom, width - left, height - top
        case 3:
            return height - bottom, left, height - top, right
    return box


def turned(layer: PageLayer, quarters: int, width: int, height: int) -> PageLayer:
    """``layer`` after the page of ``width`` x ``height`` was turned counterclockwise."""
    if quarters % 4 == 0:
        return layer
    lines = tuple(_turned_line(line, quarters, width, height) for line in layer.lines)
    rest = layer.rest
    if rest is not None:
        rows, columns = rest.picture.shape[:2]
        box = (rest.left, rest.top, rest.left + columns, rest.top + rows)
        left, top, _, _ = turned_box(box, quarters, width, height)
        picture = np.ascontiguousarray(np.rot90(rest.picture, quarters))
        rest = Rest(int(left), int(top), picture)
    return replace(layer, lines=lines, rest=rest)


def _turned_line(line: LayerLine, quarters: int, width: int, height: int) -> LayerLine:
    chars = tuple(
        char._replace(
            ink=turned_box(char.ink, quarters, width, height),
            cell=turned_box(char.cell, quarters, width, height),
            angle=(char.angle - 90 * quarters) % 360,
        )
        for char in line.chars
    )
    return replace(
        line,
        box=turned_box(line.box, quarters, width, height),
        chars=chars,
        angle=(line.angle - 90 * quarters) % 360,
    )
