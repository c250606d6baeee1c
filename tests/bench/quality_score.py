"""From readings to scores, and from scores to tables in Markdown. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean

from tests.bench import quality_measures as measures
from tests.bench.quality_readers import Reading
from tests.bench.text_layers import Layer

NO_VALUE = "–"


@dataclass(frozen=True, slots=True)
class Scores:
    """One text against the layer, 0 to 1."""

    f1: float
    recall: float
    digits_f1: float


@dataclass(frozen=True, slots=True)
class FileScore:
    """One file through one reader.

    Attributes:
        pages, lines, seconds, error, notices, peak_bytes: of the reading.
        lost: lines that are neither in the Markdown nor listed as furniture.
        furniture: how many pieces were left out, and listed.
        text, markdown: against the layer; None without one.
        order: Kendall's tau of the Markdown against the layer, mean of the pages by their common
            runs of words; None without a layer or with too few.
    """

    pages: int
    lines: int
    seconds: float
    error: str = ""
    notices: tuple[str, ...] = ()
    peak_bytes: int = 0
    lost: tuple[str, ...] = ()
    furniture: int = 0
    text: Scores | None = None
    markdown: Scores | None = None
    order: float | None = None


@dataclass(frozen=True, slots=True)
class FileRow:
    """A file with its scores by reader."""

    file: str
    layer_words: int
    why_not: str
    scores: Mapping[str, FileScore]


def score(reading: Reading, layer: Layer) -> FileScore:
    """Judge one reading. Without Markdown (pipeline OCR) its lines stand in for it."""
    if reading.error:
        return FileScore(0, 0, reading.seconds, reading.error)
    texts = ["\n".join(page.lines) for page in reading.pages]
    shown = [measures.plain_text(page.markdown) for page in reading.pages]
    kept = [
        "\n".join([text, *page.furniture]) for text, page in zip(shown, reading.pages, strict=True)
    ]
    lost = [
        line
        for page, text in zip(reading.pages, kept, strict=True)
        for line in measures.lost_lines(page.lines, text)
    ]
    return FileScore(
        pages=len(reading.pages),
        lines=sum(len(page.lines) for page in reading.pages),
        seconds=reading.seconds,
        notices=reading.notices,
        peak_bytes=reading.peak_bytes,
        lost=tuple(lost),
        furniture=sum(len(page.furniture) for page in reading.pages),
        text=_against(texts, layer),
        markdown=_against(shown, layer),
        order=_order(shown, layer),
    )


def row(file: str, layer: Layer, scores: Mapping[str, FileScore]) -> FileRow:
    """One file's."""
    return FileRow(file, len(measures.tokens("\n".join(layer.pages))), layer.why_not, scores)


def _against(pages: Sequence[str], layer: Layer) -> Scores | None:
    if layer.why_not:
        return None
    read = measures.tokens("\n".join(pages))
    true = measures.tokens("\n".join(layer.pages))
    return Scores(
        measures.f1(read, true),
        measures.recall(read, true),
        measures.f1(measures.with_digits(read), measures.with_digits(true)),
    )


def _order(pages: Sequence[str], layer: Layer) -> float | None:
    pairs = zip(pages, layer.pages, strict=False)  # an answer may have fewer pages
    found = [measures.order_score(measures.tokens(a), measures.tokens(b)) for a, b in pairs]
    scored = [score for score in found if score is not None]
    weight = sum(count for _, count in scored)
    return sum(tau * count for tau, count in scored) / weight if weight else None


# tables


def describe(row: FileRow) -> str:
    """A line of progress."""
    cells = [f"{name}: {_cell(score)}" for name, score in row.scores.items()]
    return f"{row.file}: {'; '.join(cells)}"


def section(rows: Sequence[FileRow], readers: Sequence[str], model: str) -> str:
    """Totals, then every file."""
    trusted = [row for row in rows if not row.why_not]
    return "\n\n".join(
        [
            f"### Quality, model `{model}`: {len(rows)} files, {len(trusted)} with a text layer "
            "that can be trusted",
            _table(
                (
                    "reader",
                    "answered",
                    "pages",
                    "lines",
                    "lost lines",
                    "furniture",
                    "word F1 of lines, mean (lowest)",
                    "word F1 of Markdown, mean (lowest)",
                    "recall of Markdown",
                    "F1 of words with digits",
                    "order",
                    "s",
                ),
                [_totals(rows, reader) for reader in readers],
            ),
            "Of each reader: word F1 of the lines / of the Markdown, lost lines of all, order, s.",
            _table(
                ("file", "pages", "words of the layer", *readers),
                [_file_cells(row, readers) for row in rows],
            ),
        ]
    )


def _totals(rows: Sequence[FileRow], reader: str) -> tuple[str, ...]:
    every = [row.scores[reader] for row in rows]
    answered = [score for score in every if not score.error]
    text = [score.text for score in answered if score.text]
    markdown = [score.markdown for score in answered if score.markdown]
    orders = [score.order for score in answered if score.order is not None]
    return (
        reader,
        f"{len(answered)} of {len(rows)}",
        str(sum(score.pages for score in answered)),
        str(sum(score.lines for score in answered)),
        str(sum(len(score.lost) for score in answered)),
        str(sum(score.furniture for score in answered)),
        _mean_and_lowest(score.f1 for score in text),
        _mean_and_lowest(score.f1 for score in markdown),
        _mean(score.recall for score in markdown),
        _mean(score.digits_f1 for score in markdown),
        _mean(orders),
        f"{sum(score.seconds for score in answered):.0f}",
    )


def _file_cells(row: FileRow, readers: Sequence[str]) -> tuple[str, ...]:
    pages = max((score.pages for score in row.scores.values()), default=0)
    words = row.why_not or str(row.layer_words)
    return (row.file, str(pages), words, *(_cell(row.scores[reader]) for reader in readers))


def _cell(score: FileScore) -> str:
    if score.error:
        return score.error.splitlines()[0][:60].replace("|", "/")
    f1 = f"{score.text.f1:.3f} / {score.markdown.f1:.3f}, " if score.text and score.markdown else ""
    order = "" if score.order is None else f", {score.order:.2f}"
    return f"{f1}{len(score.lost)} of {score.lines}{order}, {score.seconds:.1f} s"


def _mean(values: Iterable[float]) -> str:
    found = list(values)
    return f"{mean(found):.3f}" if found else NO_VALUE


def _mean_and_lowest(values: Iterable[float]) -> str:
    found = list(values)
    return f"{mean(found):.3f} ({min(found):.3f})" if found else NO_VALUE


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
