"""Whether what a table model made of a table agrees with the lines that were read there."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

from serve_app.layout.boxes import shared
from serve_app.layout.order import rows
from serve_app.layout.tables import Section, parse_table
from serve_app.layout.unit import Unit

# Part of the pairs of lines beside each other that may be in different rows of the model's table.
_WRONG_PAIRS = 0.02


def agrees(html: str, units: Sequence[Unit], others: Sequence[str]) -> bool:
    """Whether ``html`` holds every line of the table once, in the rows where they stand.

    Args:
        html: of the table model.
        units: the lines in the table.
        others: texts of lines that are not in it: the model's cells must not hold them too.
    """
    cells = _cells(parse_table(html))
    if not cells:
        return False
    texts = [squeezed(text) for text, _ in cells]
    whole = " ".join(texts)
    wanted = [squeezed(unit.text) for unit in units]
    if any(text not in whole for text in wanted if text):
        return False
    if sum(map(len, texts)) > sum(map(len, wanted)) and _has_others(texts, wanted, others):
        return False
    return _rows_agree(units, _located(units, wanted, texts, [span for _, span in cells]))


def squeezed(text: str) -> str:
    """Its letters and digits: what is left when a table was written and read again."""
    return "".join(char for char in text.casefold() if char.isalnum())


def _cells(sections: Sequence[Section]) -> list[tuple[str, tuple[int, int]]]:
    """Texts with the rows that they reach over: first, and the one behind the last."""
    found = []
    number = 0
    for section in sections:
        for row in section.rows:
            found += [(cell.text, (number, number + cell.row_span)) for cell in row]
            number += 1
    return found


def _has_others(texts: Sequence[str], wanted: Sequence[str], others: Sequence[str]) -> bool:
    """Whether a cell holds a line that stands outside of the table."""
    own = set(wanted)
    strange = (squeezed(text) for text in others)
    whole = " ".join(texts)
    return any(len(text) > 3 and text not in own and text in whole for text in strange)


def _located(
    units: Sequence[Unit],
    wanted: Sequence[str],
    texts: Sequence[str],
    spans: Sequence[tuple[int, int]],
) -> list[tuple[Unit, tuple[int, int]]]:
    """Lines with their rows in the model's table, where that can be told from the text."""
    places: dict[str, list[int]] = {}
    for index, text in enumerate(wanted):
        if text:
            places.setdefault(text, []).append(index)
    found = []
    for text, indexes in places.items():
        in_cells = [number for number, cell in enumerate(texts) if text in cell]
        if len(in_cells) == len(indexes):
            down = sorted(indexes, key=lambda index: (units[index].middle, units[index].box[0]))
            found += [
                (units[index], spans[number]) for index, number in zip(down, in_cells, strict=True)
            ]
    return found


def _rows_agree(units: Sequence[Unit], located: Sequence[tuple[Unit, tuple[int, int]]]) -> bool:
    spans = {unit.line: span for unit, span in located}
    pairs = wrong = 0
    for row in rows(units):
        told = [(cell, spans[cell.line]) for cell in row.cells if cell.line in spans]
        for (one, first), (other, second) in combinations(told[:20], 2):
            beside = shared(one.box[1], one.box[3], other.box[1], other.box[3])
            if beside < 0.6 * min(one.height, other.height):
                continue
            pairs += 1
            wrong += first[1] <= second[0] or second[1] <= first[0]
    return wrong <= _WRONG_PAIRS * pairs
