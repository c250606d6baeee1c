"""``python -m tests.bench``: plain PaddleX, ``paddlex --serve``, a native peer and this server."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.bench import corpus, facts, report, session, store
from tests.bench.contender import Contender, ContenderFailed
from tests.bench.faster_paddle import FasterPaddle
from tests.bench.guard import cancel_on_sigterm, guarded
from tests.bench.http_servers import OcrServe, PaddlexServe
from tests.bench.own_engines import OwnEngines
from tests.bench.paddlex_config import write_config
from tests.bench.pipelines import PIPELINES, Pipeline
from tests.bench.plain import PlainPipeline

CONTENDERS = ("in-process", "paddlex", "faster-paddle", "ocr-serve", "engines", "two-threads")


def main(argv: Sequence[str] | None = None) -> int:
    options = parse(argv)
    if not options.corpus.is_dir():
        print(f"no corpus at {options.corpus} (OCR_SERVE_CORPUS)", file=sys.stderr)
        return 2
    load_before = os.getloadavg()[0]
    try:
        with guarded():
            outcomes = asyncio.run(bench(options))
    except ContenderFailed as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except (KeyboardInterrupt, asyncio.CancelledError):
        print("bench: interrupted", file=sys.stderr)
        return 130
    publish(options, outcomes, load_before)
    return 0


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--pipelines", nargs="+", choices=list(PIPELINES), default=list(PIPELINES))
    parser.add_argument("--contenders", nargs="+", choices=CONTENDERS, default=list(CONTENDERS))
    parser.add_argument(
        "--concurrency",
        nargs="+",
        type=int,
        default=[1, 4],
        metavar="N",
        help="requests at once, for those who take several (default: 1 4)",
    )
    parser.add_argument(
        "--precision",
        choices=("auto", "bf16", "f32"),
        default="auto",
        help="of ours; f32: as on a CPU that has no bf16",
    )
    parser.add_argument("--rounds", type=int, help="default: 3, with --quick 1")
    parser.add_argument("--quick", action="store_true", help="a trial with three files")
    parser.add_argument("--write", action="store_true", help="put the tables into RESULTS.md")
    parser.add_argument(
        "--before", type=Path, metavar="FOLDER", help="another checkout, as a contender more"
    )
    parser.add_argument("--corpus", type=Path, default=corpus.corpus_folder())
    options = parser.parse_args(argv)
    if options.rounds is None:
        options.rounds = 1 if options.quick else 3
    return options


async def bench(options: argparse.Namespace) -> dict[str, session.Outcome]:
    """One session a pipeline. SIGTERM ends it as Ctrl-C does, with everything stopped."""
    cancel_on_sigterm()
    plan = session.Plan(
        corpus.single_pages(options.corpus, quick=options.quick),
        corpus.many_pages(options.corpus),
        options.rounds,
    )
    outcomes = {}
    for name in options.pipelines:
        session.say(f"pipeline {name}")
        with tempfile.TemporaryDirectory(prefix="ocr-serve-bench-") as folder:
            contenders = make_contenders(PIPELINES[name], options, Path(folder))
            outcomes[name] = await session.run(contenders, plan)
    return outcomes


def make_contenders(
    pipeline: Pipeline, options: argparse.Namespace, folder: Path
) -> list[Contender]:
    config = write_config(pipeline, folder)
    several, precision = options.concurrency, options.precision
    every: dict[str, Contender] = {
        "in-process": PlainPipeline(pipeline, config, folder),
        "paddlex": PaddlexServe(pipeline, config, folder, several),
        "faster-paddle": FasterPaddle(pipeline, config, folder),
        "ocr-serve": OcrServe(pipeline, folder, several, precision=precision),
        "engines": OwnEngines(pipeline, several, precision=precision),
        "two-threads": OwnEngines(pipeline, [1], threads=2, precision=precision),
    }
    if pipeline.name != "ocr":  # lines of text are all that it reads
        del every["faster-paddle"]
    chosen = [every[name] for name in options.contenders if name in every]
    if options.before is not None:
        chosen.append(
            OcrServe(pipeline, folder, several, precision=precision, checkout=options.before)
        )
    return chosen


def publish(
    options: argparse.Namespace, outcomes: dict[str, session.Outcome], load_before: float
) -> None:
    """Print, keep the raw numbers, and with ``--write`` change RESULTS.md."""
    machine = {**facts.machine(), "load before": f"{load_before:.2f}"}
    versions = facts.versions()
    sections = [report.machine_section(machine, versions)]
    sections += [
        report.pipeline_section(name, outcome, options.concurrency)
        for name, outcome in outcomes.items()
    ]
    tables = "\n\n".join(sections)
    raw = store.save_raw(outcomes, {"machine": machine, "versions": versions})
    print(tables)
    session.say(f"raw numbers: {raw}")
    if options.write:
        store.write_tables(f"{machine['CPU']}, {machine['cores']} cores", tables)
        session.say(f"tables: {store.TABLES}")


if __name__ == "__main__":
    sys.exit(main())
