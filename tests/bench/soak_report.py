"""What the soak has shown: whether ours passed, and a table in Markdown. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tests.bench.report import percentile
from tests.bench.soak_pages import SIZES
from tests.bench.soak_run import Track
from tests.bench.soak_watch import engine_events

COLUMNS = (
    "contender",
    "pages",
    "failed",
    "minutes",
    "pages/s",
    "p50 s",
    "p99 s",
    "PSS before MiB",
    "highest PSS MiB",
    "PSS at the end MiB",
    "engines at most MiB",
    "engines ended under load",
)


def objections(ours: Track) -> list[str]:
    """Why our server did not pass; nothing if it did.

    It passes if every page was asked for and read, and if its engines stayed within the budget in
    each reading, by whichever measure says most.
    """
    found = []
    failed = [answer for answer in ours.answers if answer.failure]
    if failed:
        found.append(
            f"{len(failed)} pages failed; the first, {failed[0].page}: {failed[0].failure}"
        )
    if len(ours.answers) < ours.wanted:
        found.append(f"{ours.wanted - len(ours.answers)} pages were not asked for in time")
    budget = budget_bytes(ours)
    if budget is None:
        found.append("the server did not tell its budget")
    elif engines_most_bytes(ours) > budget:
        most, limit = _mib(engines_most_bytes(ours)), _mib(budget)
        found.append(f"the engines held {most} MiB, their budget is {limit} MiB")
    return found


def budget_bytes(track: Track) -> int | None:
    """The smallest that the server has told; None if it never did, or has none."""
    told = [r.engines.budget_bytes for r in track.readings if r.engines]
    return min((budget for budget in told if budget), default=None)


def engines_most_bytes(track: Track) -> int:
    """The most that the engines have held; see Engines.most_bytes."""
    return max((r.engines.most_bytes for r in track.readings if r.engines), default=0)


def section(pipeline: str, at_once: int, tracks: Sequence[Track]) -> str:
    """A sentence, the table, and what ours is measured by."""
    pages = max(track.wanted for track in tracks)
    sizes = min(pages, SIZES)
    head = f"{pages} pages of {sizes} sizes by the pipeline `{pipeline}`, {at_once} at once."
    rows = [COLUMNS, ("---",) * len(COLUMNS), *(_row(track) for track in tracks)]
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    return "\n\n".join([head, table, *_verdicts(tracks)])


def _row(track: Track) -> tuple[str, ...]:
    took = [answer.took_s for answer in track.answers] or [0.0]
    pss = [reading.pss_bytes for reading in track.readings]
    before = [reading.pss_bytes for reading in track.readings if reading.at_s < 0]
    ended = sum(
        event.what == "ended" and event.at_s < track.pages_end_s
        for event in engine_events(track.readings)
    )
    engines = budget_bytes(track) is not None
    return (
        track.contender,
        f"{len(track.answers)} of {track.wanted}",
        str(sum(answer.failure is not None for answer in track.answers)),
        f"{track.pages_end_s / 60:.1f}",
        f"{len(track.answers) / track.pages_end_s:.2f}",
        f"{percentile(took, 0.5):.2f}",
        f"{percentile(took, 0.99):.2f}",
        _mib(before[-1] if before else pss[0]),
        _mib(max(pss)),
        _mib(pss[-1]),
        _mib(engines_most_bytes(track)) if engines else "",
        str(ended) if engines else "",
    )


def _verdicts(tracks: Iterable[Track]) -> list[str]:
    found = []
    for track in tracks:
        budget = budget_bytes(track)
        if budget is not None:
            why = "; ".join(objections(track))
            passed = f"not passed: {why}" if why else "passed"
            found.append(f"Budget of {track.contender}'s engines: {_mib(budget)} MiB; {passed}.")
    return found


def _mib(amount: int) -> str:
    return f"{amount / 2**20:.0f}"
