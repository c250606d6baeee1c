"""``python -m tests.bench.idle``: who uses the CPU while nobody asks, and who of them for a page.

Starts this server as configs/local.yaml does, lets it settle, and reads the CPU time of each of its
processes: before any page, while four clients ask for pages of `ocr`, and idle again with the
engines loaded. Prints a table in Markdown, beside what the engines alone take for a page.
``--before FOLDER`` does the same with another checkout first, so that both are of one run.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from serve_app.worker.engine_process import PADDLE_FACTORY
from tests.bench import corpus, facts, report
from tests.bench.contender import Contender, ContenderFailed
from tests.bench.guard import cancel_on_sigterm, guarded
from tests.bench.http_servers import OcrServe
from tests.bench.measure import measure
from tests.bench.own_engines import OwnEngines
from tests.bench.pipelines import PIPELINES
from tests.bench.session import say

AT_ONCE = 4
ENGINE = "engines"
OTHER = "others"
# The first that is found in the command, or in the title that the process has given itself.
CONSUMERS: Mapping[str, str] = {
    "gcs_server": "Ray: GCS",
    "raylet/raylet": "Ray: raylet",
    "autoscaler/_private/monitor": "Ray: monitor (autoscaler)",
    "dashboard/dashboard": "Ray: API server",
    "log_monitor": "Ray: log monitor",
    "ray::DashboardAgent": "Ray: agent (metrics)",
    "dashboard/agent": "Ray: agent (metrics)",
    "ray::RuntimeEnvAgent": "Ray: agent (runtime environments)",
    "runtime_env/agent": "Ray: agent (runtime environments)",
    "ray::ServeController": "Serve: controller",
    "ray::ProxyActor": "Serve: proxy",
    "ray::HAProxyManager": "Serve: proxy",
    "haproxy": "HAProxy",
    ":memory-watch": "memory watch",
    ":model-registry": "registry",
    ":gateway": "gateway",
    ":pool-": "worker",
    PADDLE_FACTORY: ENGINE,
    "serve_app.documents.parser_host": "processes that parse",
    "-m serve_app run": "ocr-serve run",
    "ray::IDLE": "Ray: idle worker",
}


@dataclass(frozen=True, slots=True)
class Ledger:
    """What one server has used.

    Attributes:
        before, after: cores in use by consumer while nobody asks, before and after pages.
        page: CPU seconds a page by consumer, beyond that.
    """

    before: Mapping[str, float]
    after: Mapping[str, float]
    page: Mapping[str, float] = field(default_factory=dict)


def consumer_of(command: str) -> str:
    """What a process is, by its command line or title."""
    return next((name for part, name in CONSUMERS.items() if part in command), OTHER)


def used(processes: Sequence[psutil.Process]) -> defaultdict[str, float]:
    """CPU seconds so far by consumer, those of ended children among them."""
    seconds: defaultdict[str, float] = defaultdict(float)
    for process in processes:
        with contextlib.suppress(psutil.Error):
            command = " ".join(process.cmdline())
            seconds[consumer_of(command)] += sum(process.cpu_times()[:4])
    return seconds


async def idle(contender: Contender, settle_s: float, seconds: float) -> dict[str, float]:
    """Cores in use by consumer."""
    await asyncio.sleep(settle_s)
    before = used(contender.processes())
    await asyncio.sleep(seconds)
    after = used(contender.processes())
    return {name: (after[name] - before[name]) / seconds for name in after}


async def pages(
    contender: Contender, samples: Sequence[corpus.Sample], idle_cores: Mapping[str, float]
) -> dict[str, float]:
    """CPU seconds a page by consumer, without what it uses for nothing."""
    await measure(contender, samples, at_once=AT_ONCE, number=0)
    before = used(contender.processes())
    block, _ = await measure(contender, samples, at_once=AT_ONCE, number=1)
    after = used(contender.processes())
    say(f"{contender.name}: {block.pages_per_s:.2f} pages/s")
    return {
        name: (after[name] - before[name] - idle_cores.get(name, 0.0) * block.wall_s) / block.pages
        for name in after
    }


async def server_ledger(
    options: argparse.Namespace, samples: Sequence[corpus.Sample], checkout: Path | None
) -> Ledger:
    """Of this checkout's server, or of another's."""
    env = dict(variable.split("=", 1) for variable in options.set) if checkout is None else {}
    with tempfile.TemporaryDirectory(prefix="ocr-serve-bench-") as folder:
        server = OcrServe(PIPELINES["ocr"], Path(folder), [AT_ONCE], checkout=checkout, env=env)
        try:
            say(f"{server.name}: starting")
            await server.start()
            say(f"{server.name}: ready")
            before = await idle(server, options.settle, options.seconds)
            say(f"{server.name}: {sum(before.values()):.4f} cores")
            page = await pages(server, samples, before) if samples else {}
            after = await idle(server, options.settle, options.seconds) if samples else {}
            return Ledger(before, after, page)
        finally:
            await server.stop()


async def engines_page(samples: Sequence[corpus.Sample]) -> dict[str, float]:
    """CPU seconds a page of the engines alone; rendering is not theirs."""
    engines = OwnEngines(PIPELINES["ocr"], [AT_ONCE])
    try:
        await engines.start()
        return await pages(engines, samples, {})
    finally:
        await engines.stop()


def table(ledgers: Mapping[str, Ledger], alone: Mapping[str, float]) -> str:
    """A row for each consumer, the largest of the last ledger first, and their sum."""
    *_, last = ledgers.values()
    names = sorted(last.before, key=lambda name: -last.before[name])
    for ledger in ledgers.values():
        names += [name for name in {**ledger.before, **ledger.after} if name not in names]
    columns: dict[str, Mapping[str, float]] = {}
    for label, ledger in ledgers.items():
        columns[f"{label}: cores idle, before pages"] = ledger.before
        if ledger.after:
            columns[f"{label}: after pages"] = ledger.after
        if ledger.page:
            columns[f"{label}: CPU s a page"] = ledger.page
    if alone:
        columns["engines alone: CPU s a page"] = alone
    rows = [
        f"| {name} | " + " | ".join(_number(column.get(name)) for column in columns.values()) + " |"
        for name in names
    ]
    sums = " | ".join(f"{sum(column.values()):.4f}" for column in columns.values())
    head = f"| consumer | {' | '.join(columns)} |"
    return "\n".join([head, "|" + " --- |" * (len(columns) + 1), *rows, f"| all | {sums} |"])


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


async def ledgers_of(
    options: argparse.Namespace,
) -> tuple[dict[str, Ledger], Mapping[str, float]]:
    """One server after the other, and the engines alone."""
    cancel_on_sigterm()
    samples = corpus.single_pages(options.corpus, quick=options.quick) if options.pages else []
    found = {}
    if options.before is not None:
        found["before"] = await server_ledger(options, samples, options.before)
    found["after" if found else "server"] = await server_ledger(options, samples, None)
    return found, await engines_page(samples) if samples else {}


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.idle", description=__doc__)
    parser.add_argument("--seconds", type=float, default=120.0, help="of a measurement")
    parser.add_argument("--settle", type=float, default=60.0, help="seconds before it")
    parser.add_argument("--before", type=Path, help="another checkout, measured first")
    parser.add_argument("--no-pages", dest="pages", action="store_false")
    parser.add_argument("--quick", action="store_true", help="three files only")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--corpus", type=Path, default=corpus.corpus_folder())
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    options = parse(argv)
    try:
        with guarded():
            found, alone = asyncio.run(ledgers_of(options))
    except ContenderFailed as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    print(report.machine_section(facts.machine(), facts.versions()))
    print()
    print(table(found, alone))
    return 0


if __name__ == "__main__":
    sys.exit(main())
