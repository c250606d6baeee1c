"""A real server on a real port with canned pages behind it, for tests with real clients."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from serve_app.api.app import build_http_app
from serve_app.document import PageInfo, PageResult
from serve_app.errors import PageFailed
from serve_app.jobs.folder import stores
from serve_app.jobs.service import Jobs
from serve_app.settings import AppSettings
from serve_app.testing.service import FakeDocumentService, canned_page, fake_settings
from tests import documents
from tests.e2e.server import free_port
from tests.e2e.waiting import eventually

JPEG = documents.picture("jpeg")
BAD_PAGE = 99


def rich_page(info: PageInfo) -> PageResult:
    """With everything that a client may fetch."""
    number = info.index + 1
    return canned_page(
        info,
        lines=[f"Page {number}", "line\u2028separator"],
        markdown=f'# Page {number}\n\n<img src="imgs/a.jpg">',
        markdown_images={"imgs/a.jpg": JPEG},
        images={"ocr_res_img": JPEG, "layout_det_res": JPEG, "input_img": JPEG},
        exports={"docx": b"PK docx"},
    )


@dataclass
class Served:
    """A running server, and what its service was asked."""

    url: str
    service: FakeDocumentService
    folder: Path

    def file(self, count: int, name: str = "document.pdf") -> str:
        """A file of so many pages, with a name that says something else."""
        path = self.folder / name
        path.write_bytes(documents.tiff([(64, 48)] * count))
        return str(path)


@contextmanager
def served(
    folder: Path,
    page: Callable[[PageInfo], PageResult] = rich_page,
    settings: AppSettings | None = None,
) -> Iterator[Served]:
    """The server, for the length of the block; page ``BAD_PAGE`` + 1 of any document fails."""
    settings = settings or fake_settings()
    service = FakeDocumentService(page, errors={BAD_PAGE: PageFailed("it raised ValueError")})
    jobs = Jobs(service, *stores(folder / "state"), settings)
    app = build_http_app(service, settings, jobs=jobs)
    port = free_port()
    config = uvicorn.Config(app, host="127.0.0.1", port=port, log_level="warning")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        eventually(lambda: server.started, 30, "the server listens")
        yield Served(f"http://127.0.0.1:{port}", service, folder)
    finally:
        server.should_exit = True
        thread.join(30)
