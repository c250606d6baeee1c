"""Documents put together in real child processes, of real and of hostile files."""

from __future__ import annotations

import asyncio
import io
import json
import os
import zipfile

import psutil
import pypdfium2 as pdfium
import pytest

from serve_app.document import Line, PageResult
from serve_app.errors import DeadlineExceeded, InvalidFile, LimitExceeded, OcrServeError
from serve_app.formats.assembler import Assembler
from serve_app.formats.assembly import AssembledFormat, Plan
from serve_app.formats.pieces import EVERYTHING
from serve_app.settings import DocumentSettings, LimitSettings
from tests import block_pages, documents
from tests.block_pages import block, page

pytestmark = pytest.mark.integration


def assembler(*, memory_bytes: int = 2**30, max_children: int = 2) -> Assembler:
    documents_ = DocumentSettings(assembly_memory_bytes=memory_bytes)
    return Assembler(LimitSettings(), documents_, max_children=max_children)


def plan(format_: AssembledFormat, pages: int = 1) -> Plan:
    return Plan(format_, "pdf", range(pages), "a.pdf", EVERYTHING)


async def put_together(
    what: Plan, file: bytes, *pages: PageResult, by: Assembler | None = None, deadline_s: float = 60
) -> bytes:
    async with (by or assembler()).begin(what, file, deadline_s=deadline_s) as document:
        for one in pages:
            await document.page(one)
        await document.finish(["a notice"])
        return b"".join([piece async for piece in document.read()])


def children() -> list[psutil.Process]:
    return [
        p for p in psutil.Process().children() if "serve_app.formats.assembly:build" in p.cmdline()
    ]


async def test_a_searchable_pdf() -> None:
    read = PageResult(0, 1190, 1684, b"{}", (), lines=(Line("Read", (100, 900, 500, 940), 0.9),))
    made = await put_together(plan("pdf"), documents.text_pdf(1), read)
    with pdfium.PdfDocument(made) as document:
        assert "Read" in document[0].get_textpage().get_text_range()
    assert children() == []


async def test_a_word_document_longer_than_one_piece() -> None:
    pages = [page(block(f"Paragraph {n}"), index=n) for n in range(5)]
    noise = documents.picture("jpeg", 1500, 1500)
    pages.append(page(block("", "image", image="a"), index=5, pictures={"a": noise}))
    made = await put_together(plan("docx", 6), b"", *pages)
    names = zipfile.ZipFile(io.BytesIO(made)).namelist()
    assert "word/document.xml" in names
    assert "word/media/image1.jpg" in names


async def test_a_damaged_file_is_a_typed_error_and_its_process_is_gone() -> None:
    with pytest.raises(InvalidFile, match="damaged"):
        await put_together(plan("pdf"), documents.damaged_pdf())
    assert children() == []


async def test_an_answer_above_the_memory_of_its_process_names_the_limit() -> None:
    jpeg = documents.picture("jpeg", 40, 30)
    limited = assembler(memory_bytes=100 * 2**20)
    pages = (
        page(block("", "image", image="a"), pictures={"a": jpeg + os.urandom(2**20)})
        for _ in range(80)
    )
    with pytest.raises(LimitExceeded, match=r"documents\.assembly_memory_bytes"):
        await put_together(plan("docx", 80), b"", *pages, by=limited)
    assert children() == []


async def test_a_process_that_was_killed_is_a_typed_error() -> None:
    async with assembler().begin(plan("docx"), b"", deadline_s=60) as document:
        (child,) = children()
        child.kill()
        with pytest.raises(OcrServeError, match="ChildCrashed"):
            await document.page(block_pages.everything())


async def test_others_wait_for_a_place_until_their_deadline() -> None:
    one_place = assembler(max_children=1)
    async with one_place.begin(plan("docx"), b"", deadline_s=60):
        with pytest.raises(DeadlineExceeded):
            await put_together(plan("docx"), b"", by=one_place, deadline_s=0.1)
    assert await put_together(plan("docx"), b"", by=one_place)


async def test_a_cancelled_request_leaves_no_process() -> None:
    async def hold() -> None:
        async with assembler().begin(plan("docx"), b"", deadline_s=60):
            begun.set()
            await asyncio.sleep(60)

    begun = asyncio.Event()
    task = asyncio.create_task(hold())
    await asyncio.wait_for(begun.wait(), 60)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert children() == []


@pytest.mark.parametrize("format_", ["docling", "doctags"])
async def test_a_docling_document(format_: AssembledFormat) -> None:
    """docling-core is loaded before the process is locked in."""
    pytest.importorskip("docling_core")
    pages = [page(block(f"Paragraph {n}"), index=n) for n in range(2)]
    made = json.loads(await put_together(plan(format_, 2), b"", *pages))
    assert "Paragraph 1" in (made if format_ == "doctags" else made["texts"][1]["text"])
