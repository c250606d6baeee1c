"""A failed request gives its file back at once, not when the garbage collector comes by."""

from __future__ import annotations

import asyncio
import gc
import json
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from serve_app.document import PageInfo, PageResult
from serve_app.errors import PageFailed
from serve_app.testing.service import FakeDocumentService
from tests.documents import picture
from tests.http_client import b64, http_client

FILE = picture("bmp", 1024, 1024)
ROUNDS = 5


@pytest.fixture
def _traced_without_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    tracemalloc.start()
    try:
        yield
    finally:
        tracemalloc.stop()
        gc.enable()


@contextmanager
def joined_threads() -> Iterator[None]:
    """A thread lets go of its work a moment after the result was heard of: they end first."""
    with ThreadPoolExecutor() as threads:
        asyncio.get_running_loop().set_default_executor(threads)
        yield


def fails(page: PageInfo) -> PageResult:
    raise PageFailed("boom")


@pytest.mark.usefixtures("_traced_without_collector")
@pytest.mark.parametrize("path", ["/v1/parse", "/ocr", "/layout-parsing"])
async def test_nothing_of_the_file_is_held_after_a_failure(path: str) -> None:
    body = FILE if path == "/v1/parse" else json.dumps({"file": b64(FILE)}).encode()
    kind = "image/bmp" if path == "/v1/parse" else "application/json"
    async with http_client(FakeDocumentService(page=fails, keep_calls=False)) as client:
        client.headers["content-type"] = kind
        with joined_threads():
            assert (await client.post(path, content=body)).status_code == 500
        before, _ = tracemalloc.get_traced_memory()
        with joined_threads():
            for _ in range(ROUNDS):
                assert (await client.post(path, content=body)).status_code == 500
        after, _ = tracemalloc.get_traced_memory()
    assert after - before < len(FILE)
