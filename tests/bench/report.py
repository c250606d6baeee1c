"""From blocks to tables in Markdown. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from tests.bench.measure import Block
from tests.bench.session import Outcome

PLAIN, PEER, OURS, ENGINES = "in-process", "paddlex --serve", "ocr-serve", "engines"
NATIVE, BEFORE = "faster-paddle", "ocr-serve before"

HEAD = "| contender | at once | pages/s (min-max) | p50 s | p99 s | CPU s/page | peak PSS MiB |"


@dataclass(frozen=True, slots=True)
class Ratio:
    """How many times the pages/s of one column are those of another.

    Attributes:
        above, below: (contender, at once).
        wanted: what is to be reached; None if it is only of interest.
    """

    above: tuple[str, int]
    below: tuple[str, int]
    wanted: float | None = None


def ratios_for(at_once: Sequence[int]) -> list[Ratio]:
    """Server against peer and against our own engines, at each number of requests at once."""
    most = max(at_once)
    found = [Ratio((OURS, n), (PEER, n), 2.5 if n == most and most > 1 else None) for n in at_once]
    found += [Ratio((OURS, n), (ENGINES, n), 0.92 if n == most else None) for n in at_once]
    found += [Ratio((BEFORE, n), (ENGINES, n)) for n in at_once]
    found += [Ratio((ENGINES, most), (PLAIN, 1)), Ratio((OURS, most), (PLAIN, 1))]
    return [*found, Ratio((OURS, most), (NATIVE, 1), 1.15), Ratio((ENGINES, most), (NATIVE, 1))]


def pipeline_section(name: str, outcome: Outcome, at_once: Sequence[int]) -> str:
    """All tables of one pipeline."""
    rounds = max(block.round for block in outcome.blocks)
    single = [block for block in outcome.blocks if not block.many_pages]
    many = [block for block in outcome.blocks if block.many_pages]
    pages = single[0].pages
    parts = [
        f"### Pipeline `{name}`",
        f"{pages} one-page files a block, {rounds} rounds, "
        + ("all contenders up." if outcome.all_up else "one contender up at a time."),
        "\n".join([HEAD, "|" + " --- |" * 7, *_rows(single)]),
        f"One file of {many[0].pages} pages, alone:",
        "\n".join([HEAD, "|" + " --- |" * 7, *_rows(many)]),
        "\n".join(["| ratio of pages/s | median (min-max) | wanted |", "| --- | --- | --- |"])
        + "\n"
        + "\n".join(ratio_rows(single, ratios_for(at_once))),
        _accuracy_table(outcome),
        "Cores in use while waiting: "
        + ", ".join(f"{contender} {cores:.2f}" for contender, cores in outcome.idle_cpu.items())
        + ".",
    ]
    return "\n\n".join(part for part in parts if part)


def machine_section(machine: Mapping[str, str], versions: Mapping[str, str]) -> str:
    """Two lines about where the numbers come from."""
    lines = [", ".join(f"{name}: {value}" for name, value in machine.items())]
    lines += [", ".join(f"{name} {value}" for name, value in versions.items())]
    return ".\n".join(lines) + "."


def percentile(values: Iterable[float], share: float) -> float:
    """The smallest value that ``share`` (0 to 1) of all values do not exceed."""
    ordered = sorted(values)
    return ordered[max(math.ceil(share * len(ordered)) - 1, 0)]


def _columns(blocks: Sequence[Block]) -> dict[tuple[str, int], list[Block]]:
    columns: dict[tuple[str, int], list[Block]] = {}
    for block in blocks:
        columns.setdefault((block.contender, block.at_once), []).append(block)
    return columns


def _rows(blocks: Sequence[Block]) -> list[str]:
    rows = []
    for (contender, at_once), column in sorted(_columns(blocks).items()):
        speeds = [block.pages_per_s for block in column]
        latencies = [latency for block in column for latency in block.latencies_s]
        cpu = median(block.cpu_s / block.pages for block in column)
        peak = max(block.peak_bytes for block in column)
        rows.append(
            f"| {contender} | {at_once} | {_spread(speeds)} | {percentile(latencies, 0.5):.2f} "
            f"| {percentile(latencies, 0.99):.2f} | {cpu:.2f} | {peak / 2**20:.0f} |"
        )
    return rows


def ratio_rows(blocks: Sequence[Block], ratios: Iterable[Ratio]) -> list[str]:
    """A row for each ratio whose two columns were measured."""
    columns = _columns(blocks)
    rows = []
    for ratio in ratios:
        if ratio.above in columns and ratio.below in columns:
            pairs = zip(columns[ratio.above], columns[ratio.below], strict=True)
            values = [above.pages_per_s / below.pages_per_s for above, below in pairs]
            wanted = f">= {ratio.wanted:g}" if ratio.wanted else ""
            rows.append(f"| {_named(ratio)} | {_spread(values)} | {wanted} |")
    return rows


def _named(ratio: Ratio) -> str:
    (above, m), (below, n) = ratio.above, ratio.below
    return f"{above} at {m} / {below} at {n}"


def _spread(values: Sequence[float]) -> str:
    return f"{median(values):.2f} ({min(values):.2f}-{max(values):.2f})"


def _accuracy_table(outcome: Outcome) -> str:
    """Word F1, a row a file and a column a contender."""
    contenders = list(dict.fromkeys(found.contender for found in outcome.accuracies))
    files = list(dict.fromkeys(found.source for found in outcome.accuracies))
    f1 = {(found.contender, found.source): found.f1 for found in outcome.accuracies}
    head = f"| Word F1 | {' | '.join(contenders)} |"
    rows = [
        f"| {file} | {' | '.join(f'{f1[contender, file]:.4f}' for contender in contenders)} |"
        for file in files
    ]
    return "\n".join([head, "|" + " --- |" * (len(contenders) + 1), *rows]) if files else ""
