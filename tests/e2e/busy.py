"""Pages that keep an engine busy, and the moment at which it is in the middle of one."""

from __future__ import annotations

import io
from concurrent.futures import Future

import httpx
import pikepdf
import psutil
import pypdfium2

from tests.documents import text_pdf
from tests.e2e.waiting import eventually

LINES = 45
LINE = "The quick brown fox jumps over the lazy dog, and over it again"
IN_THE_MIDDLE_S = 0.2
DPI = 144


def full_pages(count: int) -> bytes:
    """A scanned PDF with a second of work or more on each page: it has no text layer."""
    with pypdfium2.PdfDocument(text_pdf(["\n".join([LINE] * LINES)], font_pt=11)) as document:
        scan = document[0].render(scale=DPI / 72).to_pil().convert("RGB")
    page = io.BytesIO()
    scan.save(page, "PDF", resolution=DPI)
    file = io.BytesIO()
    with pikepdf.open(page) as scans:
        for _ in range(count - 1):  # the picture is in the file once, so that many pages are small
            scans.pages.append(scans.pages[0])
        scans.save(file)
    return file.getvalue()


def wait_until_busy(pid: int, asked: Future[httpx.Response]) -> None:
    """Wait until an idle engine has computed for a moment: it is in the middle of the page.

    Raises:
        AssertionError: the request was answered before.
    """
    start_s = _cpu_s(pid)

    def computes() -> bool:
        assert not asked.done(), "the page was done before it could be interrupted"
        return _cpu_s(pid) > start_s + IN_THE_MIDDLE_S

    eventually(computes, 60, "the engine works on the page")


def _cpu_s(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system
