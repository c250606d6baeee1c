"""Bombs over HTTP beside honest pages: typed answers within their budgets, nobody held up."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from serve_app.policy.sizing import Machine, plan
from serve_app.settings import AppSettings
from tests.documents import page_text, text_pdf
from tests.e2e.ledger import ledger_is_zero
from tests.e2e.server import Server, app_args, running, shipped_config
from tests.e2e.waiting import eventually
from tests.hostile_documents import (
    curves_pdf,
    flate_content_pdf,
    flate_picture_pdf,
    hidden_jpeg2000_pdf,
    object_stream_pdf,
)
from tests.processes import command_of, smaps_bytes

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

MIB = 2**20
HOST = "serve_app.documents.parser_host"
READERS, ENGINES = 2, 2
READER_BYTES, RENDER_BYTES = 128 * MIB, 256 * MIB
# Two hosts with what they have loaded, and the pixels of two A4 pages.
HOSTS_BYTES = 120 * MIB

READER_KEY, RENDER_KEY = "documents.reader_memory_bytes", "documents.render_memory_bytes"
BOMBS = {
    "1 KB of objects": (object_stream_pdf(400), READER_KEY),
    "4 KB of objects": (object_stream_pdf(2400), READER_KEY),
    "JPEG 2000 behind a filter": (hidden_jpeg2000_pdf(12_000), RENDER_KEY),
    "a deflated picture": (flate_picture_pdf(30_000, times=1), RENDER_KEY),
    "a picture deflated twice": (flate_picture_pdf(30_000), RENDER_KEY),
    "content deflated twice": (flate_content_pdf(), RENDER_KEY),
    "curves without end": (curves_pdf(), "documents.render_timeout_s"),
}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    config = shipped_config()
    args = app_args(config)
    args["gateway"]["readers"] = READERS
    args["documents"] |= {
        "reader_memory_bytes": READER_BYTES,
        "render_memory_bytes": RENDER_BYTES,
        "render_timeout_s": 3,
    }
    args["models"] = {"ocr": {**args["models"]["ocr"], "max_concurrent_predictions": ENGINES}}
    with running(config) as server:
        assert server.parse(text_pdf(1), model="ocr").status_code == 200  # it has loaded
        yield server


def parsers(server: Server) -> list[psutil.Process]:
    """The processes that parse, and what they are forked from."""
    return [process for process in server.processes() if HOST in command_of(process)]


class Peak:
    """The most that those hold together while the block runs."""

    def __init__(self, server: Server) -> None:
        self._server, self._over = server, threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self.bytes = 0

    def __enter__(self) -> Peak:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(0.02):
            held = sum(smaps_bytes(process, "Pss_Anon") for process in parsers(self._server))
            self.bytes = max(self.bytes, held)


def test_bombs_are_refused_within_their_budgets_and_honest_pages_are_answered(
    server: Server,
) -> None:
    engines = server.engines_of("ocr")
    with Peak(server) as peak, ThreadPoolExecutor(len(BOMBS) + 1) as pool:
        bombs = {
            name: pool.submit(server.parse, data, model="ocr") for name, (data, _) in BOMBS.items()
        }
        honest = [server.parse(text_pdf(1), model="ocr", format="text") for _ in range(4)]
    for answer in honest:
        assert answer.status_code == 200, answer.text
        assert answer.text.split()[:5] == page_text(1).split()[:5]
    for name, (_, key) in BOMBS.items():
        answer = bombs[name].result()
        assert answer.status_code == 422, (name, answer.text)
        error = answer.json()["error"]
        assert (error["code"], error["config_key"]) == ("file_too_demanding", key), name
        assert error["value"] >= error["limit"], name
    allowed = 1.25 * (READERS * READER_BYTES + ENGINES * RENDER_BYTES) + HOSTS_BYTES
    assert MIB < peak.bytes < allowed
    assert engines <= server.engines_of("ocr"), "no engine was lost"
    assert server.events("engine died") == []
    eventually(lambda: ledger_is_zero(server), 10, "nothing is reserved or held")
    eventually(lambda: len(parsers(server)) <= 2, 10, "their processes have ended")


def test_the_plan_of_the_shipped_configuration() -> None:
    """What the table of memory in docs/operations.md says of hostile files."""
    declared = AppSettings.model_validate(app_args(shipped_config()))
    settings = plan(declared, Machine(24 * 2**30, "of the machine", 0, 2)).settings
    documents, readers = settings.documents, settings.gateway.readers
    assert (readers, 1.25 * documents.reader_memory_bytes / MIB) == (4, 320)
    assert 1.25 * documents.render_memory_bytes / MIB == 1280
