"""``ocr-serve weights pull | list | verify``: the commands around ``weights/store.py``.

Beside them ``fetch``, ``pin`` and ``check`` for a directory (``weights_directory.py``).

Each handler takes the parsed arguments and returns the exit status: 0 done, 1 not.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TextIO

from serve_app.command import weights_directory as cli_weights_directory
from serve_app.weights import store as weights
from serve_app.weights.bundled import find
from serve_app.weights.store import Progress, PullEvent

_BAR_WIDTH = 24
_REDRAW_S = 0.1


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``weights``; the chosen handler is ``arguments.handler(arguments) -> int``."""
    group = subparsers.add_parser("weights", help="fetch, pin and check weights")
    commands = group.add_subparsers(dest="weights_command", required=True)
    pull = _command(commands, "pull", "fetch what is missing into the cache", run_pull)
    pull.add_argument("--quiet", action="store_true", help="say nothing unless it fails")
    listing = _command(commands, "list", "show all bundled models and their state", run_list)
    listing.add_argument("--json", action="store_true", help="as JSON, one object per model")
    _command(commands, "verify", "compare the cache with the hashes in the code", run_verify)
    cli_weights_directory.add_commands(commands)


def _command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    summary: str,
    handler: Callable[[argparse.Namespace], int],
) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=summary, description=summary)
    parser.add_argument("models", nargs="*", metavar="MODEL", help="PaddleX names; default: all")
    parser.add_argument(
        "--cache-dir",
        type=Path,
        metavar="DIR",
        help="default: $OCR_SERVE_CACHE, $XDG_CACHE_HOME/ocr-serve or ~/.cache/ocr-serve",
    )
    parser.set_defaults(handler=handler)
    return parser


def run_pull(arguments: argparse.Namespace) -> int:
    """Fetch the models named (default: all) and print where they are."""
    progress = None if arguments.quiet else progress_printer(sys.stderr)
    try:
        directories = weights.pull(arguments.models or None, arguments.cache_dir, progress)
    except (weights.WeightsError, OSError) as error:
        return _fail(error)
    if not arguments.quiet:
        for name, directory in directories.items():
            print(f"{name}  {directory}")
    return 0


def run_list(arguments: argparse.Namespace) -> int:
    """Print name, state, engine, source and note of each bundled model."""
    names = arguments.models or weights.bundled_models()
    try:
        rows = [_row(name, arguments.cache_dir) for name in names]
    except weights.WeightsError as error:
        return _fail(error)
    if arguments.json:
        for row in rows:
            print(json.dumps(row))
    else:
        _print_table([{key: row[key] for key in row if key != "directory"} for row in rows])
    return 0


def run_verify(arguments: argparse.Namespace) -> int:
    """Print every difference; 1 if there is one, or nothing to compare."""
    names = arguments.models or weights.cached_models(arguments.cache_dir)
    try:
        problems = weights.verify(names, arguments.cache_dir)
    except (weights.WeightsError, OSError) as error:
        return _fail(error)
    for problem in problems:
        print(problem)
    print(f"{len(names)} models, {len(problems)} differences")
    if problems:
        print("`ocr-serve weights pull` makes such a model anew")
    return 0 if names and not problems else 1


def progress_printer(stream: TextIO, now: Callable[[], float] = time.monotonic) -> Progress:
    """A bar per wheel on a terminal, one line elsewhere."""
    return _Bar(stream, now) if stream.isatty() else _Lines(stream)


class _Lines:
    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._announced = False

    def __call__(self, event: PullEvent) -> None:
        if event.step == "waiting":
            print(f"waiting for another pull into {event.subject}", file=self._stream, flush=True)
        elif event.step == "download" and not self._announced:
            self._announced = True
            first = f"{event.subject} ({_megabytes(event.total_bytes)})"
            print(f"fetching weights: {first}, and what else is missing", file=self._stream)
            self._stream.flush()


class _Bar:
    def __init__(self, stream: TextIO, now: Callable[[], float]) -> None:
        self._stream = stream
        self._now = now
        self._next_draw_s = 0.0

    def __call__(self, event: PullEvent) -> None:
        if event.step == "download" and self._now() >= self._next_draw_s:
            self._next_draw_s = self._now() + _REDRAW_S
            self._draw(event)
        elif event.step == "fetched":
            self._draw(event, end="\n")
        elif event.step == "waiting":
            print(f"waiting for another pull into {event.subject}", file=self._stream, flush=True)

    def _draw(self, event: PullEvent, end: str = "") -> None:
        share = event.done_bytes / max(event.total_bytes, 1)
        bar = ("#" * round(share * _BAR_WIDTH)).ljust(_BAR_WIDTH, ".")
        text = f"\r{event.subject:<28} [{bar}] {share:4.0%} of {_megabytes(event.total_bytes)}"
        print(text, end=end, file=self._stream, flush=True)


def _row(name: str, cache_dir: Path | None) -> dict[str, Any]:
    model = find(name)
    try:
        directory = str(weights.model_dir(name, cache_dir))
    except weights.WeightsMissing:
        directory = ""
    return {
        "model": name,
        "state": "ready" if directory else "missing",
        "engine": model.engine,
        "source": model.source,
        "note": model.note,
        "directory": directory,
    }


def _print_table(rows: Iterable[dict[str, Any]]) -> None:
    table = [list(map(str, row.values())) for row in rows]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        print("  ".join(cells).rstrip())


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.1f} MB"


def _fail(error: Exception) -> int:
    print(f"ocr-serve: {error}", file=sys.stderr)
    return 1
