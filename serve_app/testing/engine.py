"""A fake pipeline for the engine host: it computes nothing and fails on command.

Its file is JSON that says what to do, e.g. ``{"crash": 9}``, or a document with that behind it
(``faulty``); see ``FakeHandler.handle``. Behind the same process, channel and deadlines as the real
one. Never configured outside tests.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

from serve_app.child.channel import Buffer
from serve_app.document import Line, PageResult
from serve_app.errors import InvalidFile
from serve_app.page_codec import encode_result
from serve_app.testing import cuda

FACTORY = "serve_app.testing.engine:build"


_MARK = b"\n#fault "


def faulty(document: bytes, **command: Any) -> bytes:
    """A document that is read as before, and tells the fake pipeline what to do."""
    return document + _MARK + json.dumps(command).encode()


def build(spec: dict[str, Any]) -> FakeHandler:
    """``spec["load"]``: what to do while loading, as for a page."""
    _act(spec.get("load", {}))
    return FakeHandler()


class FakeHandler:
    """Does what the file says, then answers with the engine's pid as the page's text."""

    def __init__(self) -> None:
        self._eaten: list[bytearray] = []
        self._on_device: tuple[int, int] | None = None

    def handle(self, job: dict[str, Any], data: Buffer) -> list[bytes]:
        """Commands: sleep_s, fail, invalid, memory_error, exit, crash, eat_bytes (kept),
        use_bytes (freed after the page), big_bytes, garbage (an answer that is no page result);
        device_bytes (kept on the GPU), tell_bytes ([held, peak]: what its allocator claims);
        only_page: for that index alone."""
        command, index = json.loads(bytes(data).rpartition(_MARK)[2]), job.get("index", 0)
        if command.get("only_page", index) != index:
            command = {}
        self._eaten.append(bytearray(os.urandom(1) * command.get("eat_bytes", 0)))
        used = bytearray(os.urandom(1) * command.get("use_bytes", 0))
        if wanted := command.get("device_bytes"):
            cuda.take(wanted)
        if told := command.get("tell_bytes"):
            self._on_device = told[0], told[1]
        _act(command)
        del used
        if command.get("garbage"):
            return [b"\xff\xff\xff\xff garbage"]
        text = (str(os.getpid()), *job.get("options", {}).get("predict", {}))
        images = {"big": bytes(command["big_bytes"])} if "big_bytes" in command else {}
        lines = tuple(Line(one, (0, 0, 10, 20), 1.0) for one in text)
        return encode_result(PageResult(index, 10, 20, b"{}", text, images=images, lines=lines))

    def device_memory(self) -> tuple[int, int] | None:
        """What a page told it to claim; from then on its peak is what it holds."""
        told = self._on_device
        if told is not None:
            self._on_device = told[0], told[0]
        return told

    def trim_device(self) -> None:
        """Gives half of it back. As with Paddle, the peak is still the one before."""
        if self._on_device is not None:
            held, peak = self._on_device
            self._on_device = held // 2, peak


def _act(command: dict[str, Any]) -> None:
    if line := command.get("print"):
        print(line, flush=True)
    time.sleep(command.get("sleep_s", 0))
    if "fail" in command:
        raise RuntimeError(command["fail"])
    if "invalid" in command:
        raise InvalidFile(command["invalid"])
    if "memory_error" in command:
        raise MemoryError
    if "exit" in command:
        sys.exit(command["exit"])
    if "crash" in command:
        os.kill(os.getpid(), command["crash"])
