"""``python -m tests.bench.head_to_head``: bad requests and too many of them, theirs beside ours.

`paddlex --serve` and this server (`configs/local.yaml`), one after the other, each alone on the
machine, are sent the same requests. Loopback only; every request has a deadline, every scenario a
fixed number of requests or seconds.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
import tempfile
import time
from base64 import b64encode
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.bench import facts, store
from tests.bench.contender import ContenderFailed
from tests.bench.guard import cancel_on_sigterm, guarded
from tests.bench.http_servers import HttpServer, OcrServe, PaddlexServe
from tests.bench.memory import PeakMemory, pss_bytes
from tests.bench.paddlex_config import write_config
from tests.bench.pipelines import PIPELINES
from tests.bench.processes import cpu_seconds
from tests.bench.report import machine_section
from tests.bench.session import say
from tests.documents import encoded, pixel_bomb_png, text_pdf, text_picture, thin_png, truncated

MIB = 2**20
DEADLINE_S = 120.0
BAD_REQUESTS = 200
HANG_S = 20.0
LEAVERS, LEFT_AFTER_S = 4, 1.0
CAPACITY_S, OVERLOAD_S, TIMES_CAPACITY = 60.0, 60.0, 5
CLIENTS_AT_CAPACITY = 4

Facts = dict[str, str]
Scenario = Callable[[HttpServer], Awaitable[Facts]]


@dataclass(frozen=True, slots=True)
class Answer:
    """One request: its status (None: none within the deadline), its seconds, its pages."""

    status: int | None
    seconds: float
    pages: int = 0
    retry_after: str | None = None


def main(argv: Sequence[str] | None = None) -> int:
    options = parse(argv)
    load_before = os.getloadavg()[0]
    try:
        with guarded():
            found = asyncio.run(measure())
    except ContenderFailed as error:
        print(f"head to head: {error}", file=sys.stderr)
        return 1
    except (KeyboardInterrupt, asyncio.CancelledError):
        print("head to head: interrupted", file=sys.stderr)
        return 130
    machine = {**facts.machine(), "load before": f"{load_before:.2f}"}
    section = "\n\n".join([machine_section(machine, facts.versions()), table(found)])
    print(section)
    if options.write:
        heading = f"Head to head: {machine['CPU']}, {machine['cores']} cores"
        store.write_tables(heading, section)
    return 0


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.head_to_head", description=__doc__)
    parser.add_argument("--write", action="store_true", help="put the table into RESULTS.md")
    return parser.parse_args(argv)


async def measure() -> dict[str, dict[str, Facts]]:
    """Facts by server and scenario."""
    cancel_on_sigterm()
    pipeline, found = PIPELINES["ocr"], {}
    with tempfile.TemporaryDirectory(prefix="ocr-serve-bench-") as name:
        folder = Path(name)
        config = write_config(pipeline, folder)
        servers = [PaddlexServe(pipeline, config, folder, [1]), OcrServe(pipeline, folder, [1])]
        for server in servers:
            found[server.name] = await _measure(server)
    return found


async def _measure(server: HttpServer) -> dict[str, Facts]:
    found: dict[str, Facts] = {}
    try:
        say(f"{server.name}: starting")
        await server.start()
        # Both of our engines, and what a runtime does for a new shape.
        for content in (SLOW, SLOW, HELLO, HELLO):
            await asyncio.gather(*(ask(server, content) for _ in range(CLIENTS_AT_CAPACITY)))
        for name, scenario in SCENARIOS.items():
            found[name] = await scenario(server)
            say(f"{server.name}: {name}: {found[name]}")
    finally:
        await server.stop()
    return found


def body(data: bytes, kind: int) -> bytes:
    """A request of PaddleX's protocol; ``kind`` as there: 0 PDF, 1 picture."""
    file = b64encode(data).decode()
    return f'{{"file":"{file}","fileType":{kind},"visualize":false}}'.encode()


SLOW = body(text_pdf(["\n".join(["The quick brown fox jumps over the lazy dog"] * 45)] * 2), 0)
PAGE = body(text_pdf(["\n".join(["The quick brown fox jumps over the lazy dog"] * 12)]), 0)
HELLO = body(encoded(text_picture("Hello 42"), "png"), 1)


async def ask(server: HttpServer, content: bytes, deadline_s: float = DEADLINE_S) -> Answer:
    """One request."""
    began = time.monotonic()
    try:
        answer = await asyncio.wait_for(server.post(content), deadline_s)
    except (asyncio.TimeoutError, httpx.TransportError):
        return Answer(None, time.monotonic() - began)
    seconds, pages = time.monotonic() - began, 0
    if answer.status_code == 200:
        pages = len(answer.json()["result"]["ocrResults"])
    return Answer(answer.status_code, seconds, pages, answer.headers.get("retry-after"))


# ---- The scenarios ------------------------------------------------------------------------------


async def many_bad_pictures(server: HttpServer) -> Facts:
    """Cut off in the middle, one after the other."""
    bad = body(truncated(encoded(text_picture("Hello 42").resize((1600, 1200)), "png")), 1)
    first = [await ask(server, bad) for _ in range(20)]
    before = pss_bytes(server.processes())
    answers = [await ask(server, bad) for _ in range(BAD_REQUESTS)]
    grown = pss_bytes(server.processes()) - before
    return {
        "answers": statuses([*first, *answers]),
        "p50 s": f"{quantile(answers, 0.5):.3f}",
        "memory": f"{grown / MIB:+.0f} MiB over the last {BAD_REQUESTS}",
    }


async def pixel_bomb(server: HttpServer) -> Facts:
    """60,000 x 60,000 pixels in a file of some kilobytes."""
    return await _one(server, body(pixel_bomb_png(), 1))


async def thin_picture(server: HttpServer) -> Facts:
    """One pixel wide."""
    return await _one(server, body(thin_png(), 1))


async def eleven_pages(server: HttpServer) -> Facts:
    """A PDF of eleven pages."""
    return await _one(server, body(text_pdf(11), 0))


async def _one(server: HttpServer, content: bytes) -> Facts:
    before = pss_bytes(server.processes())
    with PeakMemory(server.processes) as memory:
        answer = await ask(server, content)
    after = await ask(server, HELLO)
    return {
        "answers": statuses([answer]) + (f", {answer.pages} pages" if answer.pages else ""),
        "s": f"{answer.seconds:.2f}",
        "memory": f"peak {(memory.peak_bytes - before) / MIB:+.0f} MiB",
        "next request": statuses([after]),
    }


async def disconnects(server: HttpServer) -> Facts:
    """Clients that send ten pages and leave after a second; then somebody asks for one."""
    content = body(text_pdf(["\n".join(["The quick brown fox jumps"] * 30)] * 10), 0)
    await asyncio.gather(*(ask(server, content, LEFT_AFTER_S) for _ in range(LEAVERS)))
    answer = await ask(server, HELLO)
    return {"next request": statuses([answer]), "s": f"{answer.seconds:.2f}"}


async def hanging_worker(server: HttpServer) -> Facts:
    """The process that computes a page stops (SIGSTOP); somebody asks for another one."""
    page = asyncio.create_task(ask(server, SLOW))
    pid = await _busiest(server)
    os.kill(pid, signal.SIGSTOP)
    try:
        other = await ask(server, HELLO, HANG_S)
    finally:
        os.kill(pid, signal.SIGCONT)
    return {
        "another request meanwhile": f"{statuses([other])} in {other.seconds:.2f} s",
        "the page, once it goes on": statuses([await page]),
    }


async def dead_worker(server: HttpServer) -> Facts:
    """The process that computes a page is killed (SIGKILL). The last scenario: it may be all."""
    page = asyncio.create_task(ask(server, SLOW))
    os.kill(await _busiest(server), signal.SIGKILL)
    answer = await page
    await asyncio.sleep(1)
    after = await ask(server, HELLO)
    return {
        "the page": f"{statuses([answer])} in {answer.seconds:.2f} s",
        "next request": f"{statuses([after])} in {after.seconds:.2f} s",
    }


async def _busiest(server: HttpServer) -> int:
    """The process of the server that computes most within a second."""
    processes = server.processes()
    before = {process.pid: cpu_seconds([process]) for process in processes}
    await asyncio.sleep(1)
    return max(processes, key=lambda process: cpu_seconds([process]) - before[process.pid]).pid


async def overload(server: HttpServer) -> Facts:
    """Pages of twelve lines, five times as many as it can read, whether it answers or not."""
    capacity = await _capacity(server)
    began = time.monotonic()
    tasks: list[asyncio.Task[Answer]] = []
    with PeakMemory(server.processes) as memory:
        before = pss_bytes(server.processes())
        while (passed := time.monotonic() - began) < OVERLOAD_S:
            wanted = int(passed * capacity * TIMES_CAPACITY)
            tasks += [asyncio.create_task(ask(server, PAGE)) for _ in range(wanted - len(tasks))]
            await asyncio.sleep(0.02)
        done_in_time = [task.result() for task in tasks if task.done()]
        answers = await asyncio.gather(*tasks)
    served = [answer for answer in answers if answer.status == 200]
    refused = [answer for answer in answers if answer.status == 503]
    within = sum(answer.status == 200 for answer in done_in_time) / OVERLOAD_S
    after = await ask(server, PAGE)
    found = {
        "answers": statuses(answers),
        "capacity": f"{capacity:.2f} pages/s",
        "goodput": f"{within / capacity:.2f} of it",
        "p99 s of those served": f"{quantile(served, 0.99):.1f}",
        "memory": f"peak {(memory.peak_bytes - before) / MIB:+.0f} MiB",
        "next request": f"{statuses([after])} in {after.seconds:.2f} s",
    }
    if refused:
        found["s to refuse"] = (
            f"p50 {quantile(refused, 0.5):.3f}, p99 {quantile(refused, 0.99):.3f}"
        )
        found["with Retry-After"] = f"{sum(a.retry_after is not None for a in refused)}"
    return found


async def _capacity(server: HttpServer) -> float:
    """Pages/s of clients that each wait for their answer."""
    began, served = time.monotonic(), 0

    async def client() -> None:
        nonlocal served
        while time.monotonic() - began < CAPACITY_S:
            answer = await ask(server, PAGE)  # not in one line: others count meanwhile
            served += answer.status == 200

    await asyncio.gather(*(client() for _ in range(CLIENTS_AT_CAPACITY)))
    return served / (time.monotonic() - began)


SCENARIOS: dict[str, Scenario] = {
    f"{BAD_REQUESTS} damaged pictures": many_bad_pictures,
    "a pixel bomb": pixel_bomb,
    "a picture one pixel wide": thin_picture,
    "a PDF of 11 pages": eleven_pages,
    f"{LEAVERS} clients leave after {LEFT_AFTER_S:g} s": disconnects,
    "a worker hangs": hanging_worker,
    f"{TIMES_CAPACITY} x capacity for {OVERLOAD_S:g} s": overload,
    "a worker dies": dead_worker,
}


# ---- The table ----------------------------------------------------------------------------------


def statuses(answers: Sequence[Answer]) -> str:
    """``200 x 3, 503 x 12, none x 1``."""
    counts = Counter("none" if answer.status is None else str(answer.status) for answer in answers)
    return ", ".join(f"{status} x {count}" for status, count in sorted(counts.items()))


def quantile(answers: Sequence[Answer], fraction: float) -> float:
    """Of their seconds; nan without answers."""
    seconds = sorted(answer.seconds for answer in answers)
    return seconds[min(int(fraction * len(seconds)), len(seconds) - 1)] if seconds else float("nan")


def table(found: dict[str, dict[str, Facts]]) -> str:
    """A row per scenario, a column per server."""
    names = list(found)
    lines = [f"| | {' | '.join(names)} |", "|" + " --- |" * (len(names) + 1)]
    for scenario in SCENARIOS:
        cells: list[Any] = [
            "; ".join(f"{what}: {value}" for what, value in found[name][scenario].items())
            for name in names
        ]
        lines.append(f"| {scenario} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
