"""EngineProcess: one loaded pipeline in a process of its own, seen from the replica.

Maps what can go wrong with a child onto the typed errors of ``errors.py`` and measures memory.
"""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from serve_app.devices import process_memory
from serve_app.document import PageResult
from serve_app.engines import channel
from serve_app.engines.channel import SealedFile
from serve_app.engines.child import (
    ChildCrashed,
    ChildFailure,
    ChildGarbage,
    ChildHung,
    ChildProcess,
    JobFailed,
)
from serve_app.engines.codec import decode_result
from serve_app.errors import (
    EngineCrashed,
    EngineHung,
    EngineKilled,
    EngineLoadKilled,
    EngineOutOfMemory,
    EngineProtocolError,
    EngineUnavailable,
    PageFailed,
    WeightsError,
)

log = logging.getLogger("ocr_serve.engines")

# What nobody sends itself: then the page is not to blame.
FROM_OUTSIDE = (-signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT)
PADDLE_FACTORY = "serve_app.engines.paddle:build"


@dataclass(frozen=True, slots=True)
class Prediction:
    """One page's result with what it cost: seconds in the engine, peak resident bytes."""

    result: PageResult
    run_s: float
    peak_bytes: int


class EngineProcess:
    """One engine. ``predict`` takes one page at a time; ``ModelManager`` sees to that."""

    def __init__(
        self,
        model: str,
        spec: Mapping[str, Any],
        *,
        factory: str = PADDLE_FACTORY,
        env: Mapping[str, str] | None = None,
        hub: bool = False,
    ) -> None:
        self._spec = spec
        self._child = ChildProcess(factory, name=f"engine {model}", env=env, hub=hub)
        self.model = model
        self.pages = 0
        #: Resident bytes after the largest page so far (``grew_for``). A new engine would grow as
        #: much with the next page of that size; what comes on top of it is drift.
        self.baseline_bytes = 0
        #: The last reading of a device that has memory of its own, and the first after a page;
        #: None where an engine's memory is RAM.
        self.device_bytes: int | None = None
        self.device_baseline_bytes = 0
        #: Pixels of the largest page that the baselines are of.
        self.baseline_pixels = 0
        self.exited = self._child.exited

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def alive(self) -> bool:
        return self._child.alive

    async def start(self, *, timeout_s: float) -> None:
        """Spawn and load.

        Raises:
            EngineUnavailable (or WeightsError): the load failed or took too long; nothing is left.
            EngineLoadKilled: it was ended from outside.
        """
        try:
            await self._child.start(self._spec, timeout_s=timeout_s)
        except ChildHung:
            raise EngineUnavailable(
                f"loading {self.model} took longer than {timeout_s:g} s (load_timeout_s)"
            ) from None
        except ChildCrashed as error:
            kind = EngineLoadKilled if error.args[1] in FROM_OUTSIDE else EngineUnavailable
            raise kind(f"loading {self.model} failed: {error.args[0]}") from None
        except (ChildGarbage, JobFailed) as error:
            self._tell("engine failed to load", error.args[-1])
            raise EngineUnavailable(f"loading {self.model} failed") from None
        except WeightsError as error:
            self._tell("engine failed to load", error)
            raise WeightsError(str(error)) from None  # for operators; see ``outside``

    async def predict(
        self, job: Mapping[str, Any], page: channel.Buffer | SealedFile, *, timeout_s: float
    ) -> Prediction:
        """Predict one page, which is a frame (``documents/page_frame.py``).

        Raises:
            PageFailed, EngineOutOfMemory: the pipeline raised (the engine lives on).
            EngineCrashed, EngineKilled, EngineHung, EngineProtocolError: the engine is gone.
        """
        process_memory.reset_peak(self.pid)
        started = time.monotonic()
        try:
            sent = page if isinstance(page, SealedFile) else [page]
            payload = await self._child.run(job, sent, timeout_s=timeout_s)
        except ChildCrashed as error:
            kind = EngineKilled if error.args[1] in FROM_OUTSIDE else EngineCrashed
            raise kind(f"the engine ended under the page: {error.args[0]}") from None
        except ChildHung as error:
            raise EngineHung(str(error.args[0])) from None
        except ChildGarbage as error:
            raise EngineProtocolError(str(error.args[0])) from None
        except JobFailed as error:
            self._tell("engine failed on a page", error.args[1])
            if error.args[0] == "memory":
                raise EngineOutOfMemory(f"{self.model} ran out of memory on this page") from None
            raise PageFailed(f"{self.model} failed on this page") from None
        run_s = time.monotonic() - started
        memory = process_memory.read(self.pid)
        try:
            result = decode_result(payload)
        except ValueError as error:
            self.kill()
            raise EngineProtocolError(str(error)) from None
        self.pages += 1
        if memory and not self.baseline_bytes:
            self.baseline_bytes = memory.resident_bytes
        return Prediction(result, run_s, memory.peak_bytes if memory else 0)

    def _tell(self, event: str, detail: object) -> None:
        """The log has what a client is not told: texts of exceptions, paths, pids."""
        facts = {"model": self.model, "pid": self._child.pid, "error": str(detail)}
        log.warning(event, extra=facts)

    def memory_bytes(self) -> int:
        """Resident bytes now; 0 when the process is gone."""
        memory = process_memory.read(self.pid) if self.alive else None
        return memory.resident_bytes if memory else 0

    def held_bytes(self) -> int:
        """On its device: resident bytes now, or the last reading of the device's memory."""
        return self.memory_bytes() if self.device_bytes is None else self.device_bytes

    def grew_for(self, pixels: int) -> None:
        """A page has ended: what the largest one so far left behind is no drift."""
        if pixels > self.baseline_pixels:
            self.baseline_pixels = pixels
            self.baseline_bytes = max(self.baseline_bytes, self.memory_bytes())
            on_device = self.device_bytes or 0
            self.device_baseline_bytes = max(self.device_baseline_bytes, on_device)

    @property
    def held_baseline_bytes(self) -> int:
        """What ``held_bytes`` was after the largest page so far."""
        on_device = self.device_bytes is not None
        return self.device_baseline_bytes if on_device else self.baseline_bytes

    def told_device_bytes(self) -> int:
        """What the engine's allocator held on the device when it last answered; 0 when gone.

        Without what the driver holds for the process (CUDA's context: 518 MiB on an H100), and
        before what the engine has given back at rest since.
        """
        return self._child.device_bytes if self.alive else 0

    def device_peak_bytes(self, held_bytes: int) -> int:
        """The most that it held on the device under the last page, given what it holds now.

        An allocator keeps what it had at most, so what the device tells after the page is that; if
        it gave something back, the allocator knows its own peak.
        """
        given_back = max(self._child.device_peak_bytes - self._child.device_bytes, 0)
        return held_bytes + given_back

    async def trim(self) -> None:
        """Ask for free memory back, heap and device; best effort. Only between pages."""
        try:
            await self._child.trim()
        except ChildFailure as error:  # gone, which its next user or ``exited`` tells
            extra = {"model": self.model, "pid": self.pid, "error": str(error.args[0])}
            log.warning("engine not trimmed", extra=extra)

    async def stop(self, *, grace_s: float = 2.0) -> int:
        """Ask to exit, kill after ``grace_s``; the return code once the process is gone."""
        return await self._child.stop(grace_s=grace_s)

    @property
    def killed(self) -> bool:
        """Whether it was ended from here, and is no use any more."""
        return self._child.killed

    def kill(self) -> None:
        """End it at once."""
        self._child.kill()
