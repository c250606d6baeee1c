"""A server with fake engines that fail on command, and what may be left afterwards: nothing."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from serve_app.testing.engine import FACTORY, faulty
from tests.documents import picture, tiff
from tests.e2e.ledger import ledger_is_zero, temporary_files
from tests.e2e.server import Server, app_args, checkout_importable, running, shipped_config
from tests.e2e.waiting import eventually
from tests.processes import command_of, smaps_bytes

MIB = 2**20
ENGINES = 2
QUEUE_PAGES = 8
PREDICT_TIMEOUT_S = 2.0
# An engine that fails is replaced in less than this, on two cores that do other work, too.
BACK_WITHIN_S = 20.0


def fault_config(**args: Any) -> dict[str, Any]:
    """The shipped configuration with one model of two small engines, and these args."""
    config = shipped_config()
    config["applications"][0]["import_path"] = "tests.faults.app:build"
    own = app_args(config)
    own["models"] = {
        "ocr": {
            "pipeline": "OCR",
            "max_concurrent_predictions": ENGINES,
            "grow_after_s": 0.1,
            "predict_timeout_s": PREDICT_TIMEOUT_S,
            "memory": {"base_bytes": 64 * MIB, "bytes_per_pixel": 16},
        }
    }
    own["pools"]["cpu"] |= {"max_queued_pages": QUEUE_PAGES, "queue_timeout_s": 20}
    for key, value in args.items():
        own[key] = {**own.get(key, {}), **value}
    return config


@contextlib.contextmanager
def running_with_faults(
    config: dict[str, Any], environment: Mapping[str, str] | None = None
) -> Iterator[Server]:
    """A server whose workers can import ``tests.faults.app``."""
    with running(config, {**checkout_importable(), **(environment or {})}) as server:
        yield server


def page(**command: Any) -> bytes:
    """A picture that tells the engine what to do."""
    return faulty(picture("png"), **command)


def pages(count: int, **command: Any) -> bytes:
    """The same of several pages."""
    return faulty(tiff([(64, 48)] * count), **command)


def engine_pids(server: Server) -> list[int]:
    """Of the engines that live, as the kernel tells them."""
    return [process.pid for process in server.processes() if FACTORY in command_of(process)]


def own_bytes(server: Server) -> int:
    """What our replicas hold; engines come and go.

    Anonymous memory. Ray's object store is a file of fixed size that all of them map, of which more
    and more pages have been used once; Ray's own processes have tables of their own.
    """
    return sum(
        smaps_bytes(process, "Pss_Anon")
        for process in server.processes()
        if "ServeReplica" in " ".join(command_of(process))
    )


def code_of(answer: httpx.Response) -> str:
    """Of the error in our envelope."""
    return str(answer.json()["error"]["code"])


@dataclass(frozen=True)
class Before:
    """What there was before a fault."""

    server: Server
    files: set[str]

    @classmethod
    def of(cls, server: Server) -> Before:
        """Now."""
        return cls(server, temporary_files())

    def assert_nothing_is_left(self) -> None:
        """No lease, reservation, file or surplus engine; the next page is answered."""
        answer = eventually(self._served, BACK_WITHIN_S, "pages are answered again")
        assert answer.status_code == 200
        eventually(lambda: ledger_is_zero(self.server), 10, "nothing is reserved or held")
        assert len(engine_pids(self.server)) <= ENGINES
        eventually(lambda: temporary_files() <= self.files, 10, "no temporary file is left")
        left = self.server.events("a task left things open")
        assert left == [], left

    def _served(self) -> httpx.Response | None:
        answer = self.server.parse(page())
        return answer if answer.status_code == 200 else None


def engine_of(answer: httpx.Response) -> int:
    """The fake pipeline answers with its pid as the first line of text."""
    if answer.headers["content-type"].startswith("application/json"):
        return int(json.loads(answer.content)["pages"][0]["text"][0])
    return int(answer.text.split()[0])
