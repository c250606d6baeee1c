"""``python -m tests.bench.soak``: 500 pages of 40 sizes, and what memory does meanwhile.

This server and ``paddlex --serve``, one after the other, each alone on the machine, are sent the
same requests in the same order by two clients. Exits with 1 if this server failed a page, did not
get to all of them in time, or held more in its engines than their budget.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from tests.bench import facts, soak_pages, soak_plot, soak_report, soak_run, store
from tests.bench.contender import Contender, ContenderFailed
from tests.bench.guard import cancel_on_sigterm, guarded
from tests.bench.http_servers import OcrServe, PaddlexServe
from tests.bench.paddlex_config import write_config
from tests.bench.pipelines import PIPELINES, Pipeline
from tests.bench.report import machine_section
from tests.bench.session import say
from tests.bench.soak_run import Limits, Track

CONTENDERS = (OcrServe.name, PaddlexServe.name)
BEFORE_S = 10.0
# Beyond the idle time-out: the registry's heartbeat, the unload, and a while to see what is left.
AFTER_IDLE_S = 30.0


def main(argv: Sequence[str] | None = None) -> int:
    options = parse(argv)
    load_before = os.getloadavg()[0]
    try:
        with guarded():
            tracks = asyncio.run(soak(options))
    except ContenderFailed as error:
        print(f"soak: {error}", file=sys.stderr)
        return 1
    except (KeyboardInterrupt, asyncio.CancelledError):
        print("soak: interrupted", file=sys.stderr)
        return 130
    publish(options, tracks, load_before)
    found = [why for track in tracks if is_ours(track) for why in soak_report.objections(track)]
    return 1 if found else 0


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.soak", description=__doc__)
    parser.add_argument("--pipeline", choices=list(PIPELINES), default="ocr")
    parser.add_argument("--contenders", nargs="+", choices=CONTENDERS, default=list(CONTENDERS))
    parser.add_argument("--pages", type=int, default=500, help="default: 500")
    parser.add_argument(
        "--minutes",
        type=float,
        default=8.0,
        help="no further page is sent to a contender after this long (default: 8)",
    )
    parser.add_argument("--at-once", type=int, default=2, metavar="N", help="default: 2")
    parser.add_argument(
        "--deadline-s", type=float, default=120.0, help="of each request (default: 120)"
    )
    parser.add_argument(
        "--idle-timeout-s", type=float, default=20.0, help="of our models (default: 20)"
    )
    parser.add_argument(
        "--write", action="store_true", help="also change RESULTS.md and the picture beside it"
    )
    return parser.parse_args(argv)


async def soak(options: argparse.Namespace) -> list[Track]:
    """A track per contender. SIGTERM ends it as Ctrl-C does, with everything stopped."""
    cancel_on_sigterm()
    pages = soak_pages.pages()
    requests = [pages[index] for index in soak_pages.order(options.pages)]
    limits = Limits(
        at_once=options.at_once,
        pages_s=options.minutes * 60,
        deadline_s=options.deadline_s,
        before_s=BEFORE_S,
        after_s=options.idle_timeout_s + AFTER_IDLE_S,
    )
    with tempfile.TemporaryDirectory(prefix="ocr-serve-soak-") as folder:
        contenders = make_contenders(PIPELINES[options.pipeline], options, Path(folder))
        return [await soak_run.run(contender, requests, limits) for contender in contenders]


def make_contenders(
    pipeline: Pipeline, options: argparse.Namespace, folder: Path
) -> list[Contender]:
    at_once = [options.at_once]
    config = write_config(pipeline, folder)
    every: dict[str, Contender] = {
        OcrServe.name: OcrServe(pipeline, folder, at_once, idle_timeout_s=options.idle_timeout_s),
        PaddlexServe.name: PaddlexServe(pipeline, config, folder, at_once),
    }
    return [every[name] for name in options.contenders]


def is_ours(track: Track) -> bool:
    """Whether a track decides the exit code."""
    return track.contender == OcrServe.name


def publish(options: argparse.Namespace, tracks: Sequence[Track], load_before: float) -> None:
    """Print, keep raw numbers and picture, and with ``--write`` change what is in git."""
    machine = {**facts.machine(), "load before": f"{load_before:.2f}"}
    where = f"{machine['CPU']}, {machine['cores']} cores"
    versions = facts.versions()
    section = soak_report.section(options.pipeline, options.at_once, tracks)

    raw = store.raw_file("soak-")
    facts_of_run = {"machine": machine, "versions": versions, "options": vars(options)}
    tracks_as_json = [asdict(track) for track in tracks]
    raw.write_text(json.dumps({**facts_of_run, "tracks": tracks_as_json}, indent=1), "utf-8")
    picture = raw.with_suffix(".png")
    title = f"Soak, pipeline {options.pipeline}, {options.at_once} requests at once; {where}"
    soak_plot.draw(tracks, title, picture)
    print(section)
    say(f"raw numbers: {raw}, picture: {picture}")
    if options.write:
        write(options.pipeline, where, picture, [machine_section(machine, versions), section])


def write(pipeline: str, where: str, picture: Path, parts: Sequence[str]) -> None:
    """A section of its own in RESULTS.md, which `tests.bench --write` does not touch."""
    shown = store.HERE / ("soak.png" if pipeline == "ocr" else f"soak-{pipeline}.png")
    shutil.copyfile(picture, shown)
    day = time.strftime("%Y-%m-%d")
    image = f"![Memory over time, ours and paddlex --serve, {day}]({shown.name})"
    store.write_tables(f"Soak, pipeline {pipeline}: {where}", "\n\n".join([*parts, image]))
    say(f"tables: {store.TABLES}, picture: {shown}")


if __name__ == "__main__":
    sys.exit(main())
