"""EngineProcess: one loaded pipeline in a process of its own, seen from the replica.

Maps what can go wrong with a child onto the typed errors of ``errors/`` and measures memory.
"""

from __future__ import annotations

import logging
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from serve_app import clock
from serve_app.child import channel
from serve_app.child.channel import SealedFile
from serve_app.child.process import (
    ChildCrashed,
    ChildFailure,
    ChildGarbage,
    ChildHung,
    ChildProcess,
    JobFailed,
)
from serve_app.devices import process_memory
from serve_app.document import PageResult
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
from serve_app.page_codec import decode_result
from serve_app.worker.engine_memory import DeviceMemory, ResidentMemory

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
    """One engine. ``predict`` takes one page at a time; ``ModelManager`` sees to that.

    Args:
        model: its name.
        spec: what the factory is given.
        factory: import path of what makes the engine, in the child.
        env: variables that the child gets beside those that are let through.
        hub: whether the load may speak to a model hub.
        on_device: whether its memory is that of a device of its own, not RAM.
    """

    def __init__(
        self,
        model: str,
        spec: Mapping[str, Any],
        *,
        factory: str = PADDLE_FACTORY,
        env: Mapping[str, str] | None = None,
        hub: bool = False,
        on_device: bool = False,
    ) -> None:
        self._spec = spec
        self._child = ChildProcess(factory, name=f"engine {model}", env=env, hub=hub)
        self.model = model
        self.pages = 0
        self.memory = DeviceMemory(self._child) if on_device else ResidentMemory(self._child)
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
        started = clock.now()
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
        run_s = clock.now() - started
        memory = process_memory.read(self.pid)
        try:
            result = decode_result(payload)
        except ValueError as error:
            self.kill()
            raise EngineProtocolError(str(error)) from None
        self.pages += 1
        return Prediction(result, run_s, memory.peak_bytes if memory else 0)

    def _tell(self, event: str, detail: object) -> None:
        """The log has what a client is not told: texts of exceptions, paths, pids."""
        fields = {"model": self.model, "pid": self._child.pid, "error": str(detail)}
        log.warning(event, extra=fields)

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
