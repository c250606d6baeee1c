"""Untrusted files in processes of their own: what bombs cost, and whom. Real processes, no Ray."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import numpy as np
import psutil
import pytest

from serve_app.child import channel
from serve_app.document import PageResult, PredictOptions
from serve_app.documents.page_frame import decode_page
from serve_app.documents.parsers import Crashed, OutOfMemory, OutOfTime, Parsers, ParserUnavailable
from serve_app.documents.reader import DocumentReader
from serve_app.documents.render import render_page
from serve_app.documents.renderer import PageRenderer, PageSource
from serve_app.errors import (
    DeadlineExceeded,
    EncryptedFile,
    FileTooDemanding,
    InvalidFile,
    QueueFull,
)
from serve_app.page_job import PageJob
from serve_app.sandbox.parser import ParserLimits
from serve_app.settings import AppSettings, DocumentSettings, GatewaySettings, LimitSettings
from serve_app.worker.ocr_service import OCRService
from tests import documents, exploits, hostile_documents
from tests.e2e.waiting import happens
from tests.fake_parsers import SIZES, SLOW_READER

pytestmark = pytest.mark.integration

MIB = 2**20
LIMITS = LimitSettings()
DOCUMENTS = DocumentSettings()
SMALL = ParserLimits(memory_bytes=128 * MIB, cpu_s=30, answer_bytes=MIB)
# What a fork shares with its host counts as resident in both.
HOST_BYTES = 130 * MIB


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """No process of ours is left behind by a test."""
    yield
    assert psutil.Process().children(recursive=True) == []


@contextlib.asynccontextmanager
async def reading(factory: str | None = None, **gateway: Any) -> AsyncIterator[DocumentReader]:
    chosen = {"factory": factory} if factory else {}
    reader = DocumentReader(LIMITS, DOCUMENTS, GatewaySettings(**gateway), **chosen)
    try:
        yield reader
    finally:
        await reader.close()


@contextlib.asynccontextmanager
async def rendering(**settings: Any) -> AsyncIterator[PageRenderer]:
    renderer = PageRenderer(LIMITS, DocumentSettings(**settings))
    try:
        yield renderer
    finally:
        await renderer.close()


@contextlib.asynccontextmanager
async def parsing(
    factory: str = exploits.PARSER, idle_timeout_s: float = 60
) -> AsyncIterator[Parsers]:
    parsers = Parsers("host", {}, SMALL, idle_timeout_s=idle_timeout_s, factory=factory)
    try:
        yield parsers
    finally:
        await parsers.close()


async def pid_of(parsers: Parsers, **job: Any) -> int:
    """Of the process that did the job."""
    answer, _ = await parsers.run(job, b"a file", timeout_s=30)
    with contextlib.closing(answer):
        return int(json.loads(answer.read())["pid"])


def is_gone(process: psutil.Process) -> bool:
    """Also if nobody has asked for its exit status, as of an orphan where nobody adopts it."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


class Peak:
    """The most that one of our descendants held while the block ran; read every 10 ms.

    Between its fork and its exec a child has our memory and our command line: it is left out.
    """

    def __init__(self) -> None:
        self.bytes = 0
        self._our_command = psutil.Process().cmdline()

    async def __aenter__(self) -> Peak:
        self._watching = asyncio.create_task(self._watch())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._watching.cancel()
        await asyncio.gather(self._watching, return_exceptions=True)

    async def _watch(self) -> None:
        while True:
            for process in psutil.Process().children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    held = process.memory_info().rss
                    if process.cmdline() != self._our_command:
                        self.bytes = max(self.bytes, held)
            await asyncio.sleep(0.01)


# ---- Bombs -----------------------------------------------------------------------------------


@pytest.mark.parametrize("size_mib", [370, 1400, 2600])
async def test_a_bomb_of_an_object_stream_is_refused_within_its_budget(size_mib: int) -> None:
    bomb = hostile_documents.object_stream_pdf(size_mib)
    assert len(bomb) < 5000
    async with reading() as reader, Peak() as peak:
        with pytest.raises(FileTooDemanding) as caught:
            await reader.inspect(bomb)
        assert caught.value.config_key == "documents.reader_memory_bytes"
        assert caught.value.value >= caught.value.limit == DOCUMENTS.reader_memory_bytes
    assert peak.bytes < 1.25 * DOCUMENTS.reader_memory_bytes + HOST_BYTES


BOMBS: dict[str, tuple[Callable[[], bytes], int]] = {
    "jpeg 2000 behind a filter": (lambda: hostile_documents.hidden_jpeg2000_pdf(12_000), 1000),
    "picture, deflated": (lambda: hostile_documents.flate_picture_pdf(30_000, times=1), 100_000),
    "picture, deflated twice": (lambda: hostile_documents.flate_picture_pdf(30_000), 2000),
    "content, deflated twice": (hostile_documents.flate_content_pdf, 5000),
    "objects, deflated twice": (lambda: hostile_documents.object_stream_pdf(2600), 5000),
}


@pytest.mark.parametrize("name", BOMBS)
async def test_a_bomb_in_a_page_is_refused_within_its_budget(name: str) -> None:
    make, largest = BOMBS[name]
    bomb, memory = make(), 256 * MIB
    assert len(bomb) < largest
    async with rendering(render_memory_bytes=memory) as renderer, Peak() as peak:
        with pytest.raises(FileTooDemanding, match="page 1") as caught:
            await renderer.render(bomb, "pdf", 0, deadline_s=60)
        assert caught.value.config_key == "documents.render_memory_bytes"
    assert peak.bytes < 1.25 * memory + HOST_BYTES


async def test_a_small_picture_of_the_same_kind_is_read() -> None:
    """What is refused is the size, not the filter."""
    page = hostile_documents.hidden_jpeg2000_pdf(64)
    async with reading() as reader, rendering() as renderer:
        assert len((await reader.inspect(page)).pages) == 1
        frame, used = await renderer.render(page, "pdf", 0, deadline_s=60)
        frame.close()
        assert used < 64 * MIB


async def test_a_page_of_five_million_lines_ends_at_the_deadline_for_rendering() -> None:
    page = hostile_documents.lines_pdf()
    async with rendering(render_timeout_s=1.5) as renderer:
        began = time.monotonic()
        with pytest.raises(FileTooDemanding, match="render page 1") as caught:
            await renderer.render(page, "pdf", 0, deadline_s=60)
        assert time.monotonic() - began < 10
        assert caught.value.config_key in ("documents.render_timeout_s",)
        with pytest.raises(DeadlineExceeded):
            await renderer.render(page, "pdf", 0, deadline_s=0.5)
        frame, _ = await renderer.render(documents.text_pdf(), "pdf", 0, deadline_s=60)
        frame.close()


async def test_other_files_are_read_as_if_no_bomb_was_there() -> None:
    bomb, honest = hostile_documents.object_stream_pdf(2600), documents.text_pdf(3)
    async with reading(readers=4) as reader:
        await reader.inspect(honest)
        bombs = [asyncio.create_task(reader.inspect(bomb)) for _ in range(2)]
        infos = [await reader.inspect(honest) for _ in range(10)]
        assert [len(info.pages) for info in infos] == [3] * 10
        ended = await asyncio.gather(*bombs, return_exceptions=True)
        assert [type(error) for error in ended] == [FileTooDemanding] * 2


async def test_the_memory_of_a_bomb_is_back_when_it_is_answered() -> None:
    async with reading() as reader:
        await reader.inspect(documents.text_pdf())
        with pytest.raises(FileTooDemanding):
            await reader.inspect(hostile_documents.object_stream_pdf(2600))
        (host,) = psutil.Process().children(recursive=True)
        assert host.memory_info().rss < HOST_BYTES


# ---- Time, and places ------------------------------------------------------------------------


async def test_a_slow_file_holds_up_nobody_else() -> None:
    async with reading(SLOW_READER, readers=2) as reader:
        slow = asyncio.create_task(reader.inspect(b"slow"))
        await asyncio.sleep(0.2)
        for _ in range(5):
            assert (await reader.inspect(b"quick")).kind == "png"
        assert not slow.done()
        assert (await slow).kind == "png"


async def test_files_wait_for_a_place_in_their_order_and_no_longer_than_the_deadline() -> None:
    async with reading(SLOW_READER, readers=1, inspect_timeout_s=10) as reader:
        ended: list[int] = []

        async def read(number: int) -> None:
            await reader.inspect(b"quick")
            ended.append(number)

        await asyncio.gather(*(read(number) for number in range(6)))
        assert ended == list(range(6))
    async with reading(SLOW_READER, readers=1, inspect_timeout_s=1.0) as reader:
        slow = asyncio.create_task(reader.inspect(b"never"))
        await asyncio.sleep(0.5)
        with pytest.raises(QueueFull, match=r"gateway\.readers") as caught:
            await asyncio.gather(reader.inspect(b"never"), reader.inspect(b"never"))
        assert caught.value.retry_after_s is not None
        with pytest.raises(FileTooDemanding, match=r"gateway\.inspect_timeout_s"):
            await slow


async def test_a_file_that_computes_for_too_long_is_ended_by_the_kernel_too() -> None:
    limits = ParserLimits(memory_bytes=128 * MIB, cpu_s=1, answer_bytes=MIB)
    parsers = Parsers("host", {}, limits, idle_timeout_s=60, factory=exploits.PARSER)
    try:
        with pytest.raises(OutOfTime):
            await parsers.run({"spin": True}, b"", timeout_s=60)
    finally:
        await parsers.close()


# ---- Processes -------------------------------------------------------------------------------


async def test_no_process_sees_two_files() -> None:
    async with parsing() as parsers:
        pids = [await pid_of(parsers) for _ in range(5)]
        assert len(set(pids)) == 5
        await happens(
            lambda: (
                [p.pid for p in psutil.Process().children(recursive=True)] == [parsers.host_pid]
            ),
            5,
            "each has ended with its file",
        )


async def test_a_crash_is_the_files_own() -> None:
    async with parsing() as parsers:
        host = (await pid_of(parsers), parsers.host_pid)[1]
        with pytest.raises(Crashed):
            await parsers.run({"crash": True}, b"", timeout_s=30)
        await pid_of(parsers)
        assert parsers.host_pid == host
    async with reading(exploits.PARSER) as reader:
        with pytest.raises(InvalidFile, match="cannot be read"):
            await reader.inspect(b"an answer that is no document")


@pytest.mark.parametrize("job", [{"eat_mib": 500}, {"want_mib": 100}], ids=["many", "at once"])
async def test_memory_beyond_the_limit_is_told_as_such(job: dict[str, int]) -> None:
    async with parsing() as parsers:
        with pytest.raises(OutOfMemory) as caught:
            await parsers.run(job, b"", timeout_s=30)
        assert caught.value.args[0] >= SMALL.memory_bytes
        _, used = await parsers.run({"eat_mib": 60}, b"", timeout_s=30)
        assert 60 * MIB <= used < SMALL.memory_bytes


async def process_of_next(host: psutil.Process, gone: int) -> psutil.Process:
    """The next process that ``host`` starts for a file; ``gone``: the one of the last file."""

    def found() -> list[psutil.Process]:
        return [process for process in host.children() if process.pid != gone]

    await happens(lambda: bool(found()), 5, "it has its process")
    (process,) = found()
    return process


async def test_a_process_that_is_killed_from_outside_costs_the_file_another_try() -> None:
    async with parsing() as parsers:
        last = await pid_of(parsers)
        reading_it = asyncio.create_task(pid_of(parsers, sleep_s=1))
        (host,) = psutil.Process().children()
        first = await process_of_next(host, last)
        first.kill()
        assert await reading_it != first.pid


async def test_a_host_that_is_killed_takes_its_processes_with_it_and_is_replaced() -> None:
    async with parsing() as parsers:
        last = await pid_of(parsers)
        reading_it = asyncio.create_task(pid_of(parsers, sleep_s=1))
        (host,) = psutil.Process().children()
        first = await process_of_next(host, last)
        os.kill(host.pid, signal.SIGKILL)
        assert await reading_it != first.pid
        await happens(lambda: is_gone(first), 5, "the other one has ended")
        assert parsers.host_pid != host.pid


async def test_who_is_cancelled_leaves_no_process_and_no_descriptor() -> None:
    async with parsing() as parsers:
        await pid_of(parsers)
        await asyncio.sleep(0.1)
        before = psutil.Process().num_fds()
        for _ in range(3):
            reading_it = asyncio.create_task(pid_of(parsers, sleep_s=60))
            await asyncio.sleep(0.3)
            reading_it.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reading_it
        (host,) = psutil.Process().children()
        assert host.children() == []
        assert psutil.Process().num_fds() == before


@pytest.mark.parametrize("after_s", [0.0, 0.05, 0.3, 1.0])
async def test_closing_ends_what_is_under_way_for_good(after_s: float) -> None:
    async with parsing() as parsers:
        reading_it = asyncio.create_task(pid_of(parsers, sleep_s=60))
        await asyncio.sleep(after_s)
        await parsers.close()
        with pytest.raises(ParserUnavailable):
            await asyncio.wait_for(reading_it, 20)


async def test_the_host_ends_when_nothing_is_asked_of_it_and_comes_back() -> None:
    async with parsing(idle_timeout_s=0.3) as parsers:
        await pid_of(parsers, sleep_s=0.6)  # longer than that: a job counts as use
        first = parsers.host_pid
        assert first is not None
        await happens(lambda: psutil.Process().children() == [], 5, "it has ended")
        assert parsers.host_pid is None
        await pid_of(parsers)
        assert parsers.host_pid != first


# ---- The same pixels and errors as without a process in between ------------------------------


def passed_on(frame: channel.SealedFile) -> channel.Buffer:
    """As an engine receives it."""
    ours, theirs = channel.socket_pair()
    with ours, theirs:
        channel.send_descriptor(ours, {}, frame.fd)
        return channel.receive_view(theirs)[1]


@pytest.mark.parametrize(
    ("data", "kind", "index"),
    [
        (documents.text_pdf(2), "pdf", 1),
        (documents.form_pdf(), "pdf", 0),
        (documents.turned("jpeg", 6), "jpeg", 0),
        (documents.transparent_png("LA"), "png", 0),
        (documents.tiff([(30, 20), (20, 30)]), "tiff", 1),
    ],
)
async def test_pixels_are_those_of_render_page(data: bytes, kind: Any, index: int) -> None:
    async with rendering() as renderer:
        with PageSource(renderer, data, kind, index) as page:
            frame = await page.frame(60)
            assert await page.frame(60) is frame, "rendered once"
            assert page.render_s > 0
            assert isinstance(frame, channel.SealedFile)
            pixels = decode_page(passed_on(frame)).pixels
    assert np.array_equal(pixels, render_page(data, kind, index, LIMITS, DOCUMENTS))
    pixels[0, 0] = 123  # pipelines paint over what they have read


async def test_typed_errors_come_through() -> None:
    async with reading() as reader, rendering() as renderer:
        with pytest.raises(EncryptedFile):
            await reader.inspect(documents.encrypted_pdf())
        with pytest.raises(InvalidFile, match="page 3"):
            await renderer.render(documents.text_pdf(2), "pdf", 2, deadline_s=60)


# ---- In a worker -----------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def worker(**settings: Any) -> AsyncIterator[OCRService]:
    """With engines that answer with the size of the page that they were given."""
    args = {
        "models": {"ocr": {"pipeline": "OCR"}},
        "pools": {"cpu": {"device": "cpu"}},
        "documents": settings,
        "log_level": "ERROR",
    }
    replica = OCRService("cpu", AppSettings.model_validate(args), factory=SIZES, rendered=True)
    try:
        yield replica
    finally:
        await replica.close()


async def predicted(replica: OCRService, data: bytes, index: int = 0) -> PageResult:
    job = PageJob("ocr", "pdf", index, PredictOptions())
    return await replica.predict_page(np.frombuffer(data, np.uint8), job, 60)


async def test_a_page_that_cannot_be_rendered_costs_no_engine() -> None:
    async with worker(render_timeout_s=2, render_memory_bytes=256 * MIB) as replica:
        first = await predicted(replica, documents.text_pdf())
        assert (first.width, first.height) == (1190, 1684)
        for bomb in (hostile_documents.hidden_jpeg2000_pdf(12_000), hostile_documents.curves_pdf()):
            began = time.monotonic()
            with pytest.raises(FileTooDemanding):
                await predicted(replica, bomb)
            assert time.monotonic() - began < 10, "it is not tried again"
        again = await predicted(replica, documents.text_pdf())
        assert again.text == first.text, "by the same engine"
        assert (await replica.models())["models"]["ocr"]["loads"] == 1


async def test_with_the_last_engine_all_memory_of_pages_is_back() -> None:
    async with worker() as replica:
        await predicted(replica, documents.text_pdf())
        assert len(psutil.Process().children()) == 2, (
            "an engine, and what renderers are forked from"
        )
        await replica._worker.models["ocr"].unload("a test")
        await happens(lambda: psutil.Process().children() == [], 5, "both have ended")
        await predicted(replica, documents.text_pdf())


async def test_what_rendering_takes_counts_for_the_estimate_of_the_next_page() -> None:
    async with worker() as replica:
        plain = await predicted(replica, documents.text_pdf())
        heavy = await predicted(replica, hostile_documents.hidden_jpeg2000_pdf(4000))
        assert plain.record is not None
        assert heavy.record is not None
        assert heavy.record.peak_bytes > plain.record.peak_bytes + 100 * MIB
