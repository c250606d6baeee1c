"""The picture of a soak: memory over time, all contenders from their first request on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tests.bench.soak_report import budget_bytes
from tests.bench.soak_run import Track
from tests.bench.soak_watch import Reading, engine_events

COLOURS = ("tab:blue", "tab:orange")
MIB = 2**20


def draw(tracks: Sequence[Track], title: str, file: Path) -> None:
    """Write a PNG: a line per contender, and for ours its engines, their budget and restarts."""
    figure = Figure(figsize=(10, 5.5), layout="constrained")
    axes = figure.subplots()
    for track, colour in zip(tracks, COLOURS, strict=False):
        _draw_track(axes, track, colour)
    axes.set_title(title, fontsize=10)
    axes.set_xlabel("time since the first request (minutes)")
    axes.set_ylabel("memory (MiB)")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    figure.legend(loc="outside lower center", ncols=3, fontsize=8)
    figure.savefig(file, dpi=120)


def _draw_track(axes: Axes, track: Track, colour: str) -> None:
    name, readings = track.contender, track.readings
    pss = [reading.pss_bytes / MIB for reading in readings]
    axes.plot(_minutes(readings), pss, color=colour, label=f"{name}: all processes (PSS)")
    last = [reading for reading in readings if reading.at_s <= track.pages_end_s][-1]
    label = f"{name}: {len(track.answers)} pages answered"
    end = (track.pages_end_s / 60, last.pss_bytes / MIB)
    axes.plot(*end, "o", color=colour, label=label)
    if (budget := budget_bytes(track)) is not None:
        _draw_engines(axes, track, colour)
        label = f"{name}: budget of its engines"
        axes.axhline(budget / MIB, color="tab:red", linestyle="--", label=label)


def _draw_engines(axes: Axes, track: Track, colour: str) -> None:
    readings = [reading for reading in track.readings if reading.engines]
    most = [reading.engines.most_bytes / MIB for reading in readings if reading.engines]
    label = f"{track.contender}: its engines at most (RssAnon + RssShmem)"
    axes.plot(_minutes(readings), most, color=colour, linestyle=":", label=label)
    events = engine_events(readings)
    for what, marker in (("started", "^"), ("ended", "v")):
        at = [event.at_s / 60 for event in events if event.what == what]
        label = f"{track.contender}: an engine {what}"
        axes.plot(at, [0.0] * len(at), marker, color=colour, clip_on=False, label=label)


def _minutes(readings: Sequence[Reading]) -> list[float]:
    return [reading.at_s / 60 for reading in readings]
