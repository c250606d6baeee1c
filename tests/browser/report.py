"""A report with headings, a table, a chart and a text layer: to look at."""

from __future__ import annotations

import io
import textwrap

from matplotlib import rcParams
from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.figure import Figure

A4_INCHES = (8.27, 11.69)
TITLE = "Harvest Report of the Northern Orchards"
PARAGRAPH = (
    "The season began two weeks early, after a mild winter and a dry March. Blossom was strong in "
    "all four orchards, and the late frost of April touched only the lowest rows by the river. "
    "Picking ended on the ninth of October, with less fruit on the ground than in any year since "
    "the records began."
)
CLOSING = (
    "Prices followed the weather: early varieties sold above the average of five years, late ones "
    "below it. For the coming year two rows of old trees will be replaced, and the cold store is "
    "to be enlarged by a third."
)
ROWS = (
    ("Orchard", "Trees", "Tonnes", "Change"),
    ("Riverside", "1,240", "86.2", "+4 %"),
    ("Hilltop", "980", "71.5", "+11 %"),
    ("Old Mill", "1,610", "102.9", "-2 %"),
    ("Southfield", "730", "49.3", "+7 %"),
)


def report_pdf() -> bytes:
    """Two pages of A4."""
    written = io.BytesIO()
    with PdfPages(written, metadata={"CreationDate": None}) as pdf:
        for draw in (_first, _second):
            figure = Figure(figsize=A4_INCHES)
            draw(figure)
            pdf.savefig(figure)
    return written.getvalue()


def _text(figure: Figure, y: float, text: str, size: float, **more: object) -> None:
    figure.text(0.1, y, text, fontsize=size, va="top", **more)  # type: ignore[arg-type]


def _head(figure: Figure, page: int) -> None:
    _text(figure, 0.965, "Northern Orchards, annual reports", 8, color="#555555")
    figure.text(0.9, 0.04, str(page), fontsize=9, ha="right")


def _wrapped(text: str) -> str:
    return "\n".join(textwrap.wrap(text, 67))


def _first(figure: Figure) -> None:
    rcParams["pdf.fonttype"] = 42
    _head(figure, 1)
    _text(figure, 0.92, TITLE, 19, weight="bold")
    _text(figure, 0.86, _wrapped(PARAGRAPH), 12, linespacing=1.5)
    _text(figure, 0.735, "1. Yield by orchard", 14, weight="bold")
    axes = figure.add_axes((0.1, 0.52, 0.8, 0.18))
    axes.axis("off")
    table = axes.table([list(row) for row in ROWS], loc="upper left", cellLoc="left")
    table.auto_set_font_size(False)
    table.set_fontsize(11)
    table.scale(1, 2.1)
    _text(figure, 0.475, "2. Tonnes in five years", 14, weight="bold")
    chart = figure.add_axes((0.14, 0.2, 0.72, 0.23))
    chart.bar(["2021", "2022", "2023", "2024", "2025"], [262, 281, 247, 294, 310], color="#4c78a8")
    _text(figure, 0.14, "All orchards together, without windfalls.", 9)


def _second(figure: Figure) -> None:
    _head(figure, 2)
    _text(figure, 0.92, "3. Prices and plans", 14, weight="bold")
    _text(figure, 0.88, _wrapped(CLOSING), 12, linespacing=1.5)
