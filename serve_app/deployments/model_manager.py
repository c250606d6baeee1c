"""Carries out what ``policy.model_lifecycle`` decides for one model: starts, stops and leases."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import uuid
from collections.abc import AsyncIterator, Callable
from typing import Any

from serve_app import clock
from serve_app.engines.process import EngineProcess
from serve_app.errors import DeadlineExceeded, EngineUnavailable, OcrServeError, ReplicaUnavailable
from serve_app.policy.model_lifecycle import (
    Action,
    Grant,
    ModelLifecycle,
    Refuse,
    StartEngine,
    StopEngine,
    WakeAt,
)

log = logging.getLogger("ocr_serve.models")


class EngineLease:
    """An engine for one page. ``retire`` has the engine replaced when the lease ends."""

    def __init__(self, lease_id: str, engine: EngineProcess, *, cold: bool) -> None:
        self.id, self.engine, self.cold = lease_id, engine, cold
        self.retire: str | None = None


class ModelManager:
    """One model in one replica. All methods run on the replica's event loop."""

    def __init__(
        self,
        name: str,
        new_engine: Callable[[], EngineProcess],
        *,
        max_engines: int,
        grow_after_s: float,
        load_timeout_s: float,
        idle_timeout_s: float,
    ) -> None:
        self.name = name
        self._new_engine = new_engine
        self._load_timeout_s, self._idle_timeout_s = load_timeout_s, idle_timeout_s
        self._lifecycle = ModelLifecycle(max_engines=max_engines, grow_after_s=grow_after_s)
        self._engines: dict[int, EngineProcess] = {}
        self._granted: dict[str, asyncio.Future[EngineProcess]] = {}
        self._failure_type: type[OcrServeError] = EngineUnavailable
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing = False
        self._wake: asyncio.TimerHandle | None = None
        self._expiry: asyncio.TimerHandle | None = None
        self.loads = 0

    @contextlib.asynccontextmanager
    async def lease(self, *, timeout_s: float) -> AsyncIterator[EngineLease]:
        """Hold an engine for the length of the block; load one if there is none.

        Raises:
            EngineUnavailable: the load failed (or failed lately, and is backing off).
            DeadlineExceeded: no engine within ``timeout_s``.
        """
        if self._closing:
            raise ReplicaUnavailable("this worker is stopping")
        lease_id = uuid.uuid4().hex
        cold = not self._engines
        granted: asyncio.Future[EngineProcess] = asyncio.get_running_loop().create_future()
        self._granted[lease_id] = granted
        retire = None
        try:
            self._do(self._lifecycle.acquire(lease_id, clock.now()))
            done, _ = await asyncio.wait([granted], timeout=max(timeout_s, 0))
            if not done:
                raise DeadlineExceeded(f"no free engine of {self.name} within {timeout_s:.1f} s")
            lease = EngineLease(lease_id, granted.result(), cold=cold)
            try:
                yield lease
            finally:
                retire = lease.retire
        finally:
            del self._granted[lease_id]
            self._bury_the_dead()
            self._do(self._lifecycle.release(lease_id, clock.now(), retire=retire))

    def status(self) -> dict[str, Any]:
        """State, references and engines, for ``GET /v1/models``."""
        engines = [
            {
                "engine": number,
                "state": self._lifecycle.engine_state(number),
                "pid": engine.pid,
                "memory_bytes": engine.memory_bytes(),
                "pages": engine.pages,
            }
            for number, engine in self._engines.items()
            if engine.alive
        ]
        return {
            "state": self._lifecycle.state,
            "references": self._lifecycle.references,
            "waiting": self._lifecycle.waiting,
            "loads": self.loads,
            "error": self._lifecycle.failure,
            "engines": engines,
        }

    async def close(self) -> None:
        """End every engine, loaded or loading; no lease is given any more."""
        self._closing = True
        for timer in (self._wake, self._expiry):
            if timer is not None:
                timer.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(engine.stop() for engine in self._engines.values()))

    def _do(self, actions: list[Action]) -> None:
        for action in actions:
            match action:
                case StartEngine(engine):
                    self._run(self._start(engine))
                case StopEngine(engine, reason):
                    self._run(self._stop(engine, reason))
                case Grant(lease, engine):
                    self._grant(lease, engine)
                case Refuse(lease, reason):
                    self._refuse(lease, reason)
                case WakeAt(at):
                    self._wake_at(at)
        self._schedule_expiry()

    def _grant(self, lease: str, engine: int) -> None:
        waiter = self._granted.get(lease)
        if waiter is not None and not waiter.done():
            waiter.set_result(self._engines[engine])

    def _refuse(self, lease: str, reason: str) -> None:
        waiter = self._granted.get(lease)
        if waiter is not None and not waiter.done():
            # A fresh one for each waiter: an exception collects the frames that it passes through.
            waiter.set_exception(self._failure_type(reason))

    def _run(self, coroutine: Any) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _start(self, number: int) -> None:
        engine = self._new_engine()
        started = clock.now()
        try:
            await engine.start(timeout_s=self._load_timeout_s)
        except OcrServeError as error:
            self._failure_type = type(error)
            log.warning("load failed", extra={"model": self.name, "error": str(error)})
            self._do(self._lifecycle.load_failed(number, str(error), clock.now()))
            return
        except asyncio.CancelledError:
            engine.kill()
            raise
        except Exception as error:
            # Not a known failure: the waiters must still hear of it.
            engine.kill()
            self._failure_type = EngineUnavailable
            log.exception("load failed", extra={"model": self.name})
            self._do(self._lifecycle.load_failed(number, type(error).__name__, clock.now()))
            return
        self.loads += 1
        self._engines[number] = engine
        facts = {"model": self.name, "pid": engine.pid, "load_s": clock.now() - started}
        log.info("model loaded", extra={**facts, "memory_bytes": engine.memory_bytes()})
        self._run(self._watch(engine))
        self._do(self._lifecycle.loaded(number, clock.now()))

    async def _watch(self, engine: EngineProcess) -> None:
        """Notice an engine that ends by itself, between pages too."""
        await asyncio.shield(engine.exited)
        self._bury_the_dead()

    def _bury_the_dead(self) -> None:
        """Tell the lifecycle of ended engines, before it would hand one out again."""
        for number, engine in list(self._engines.items()):
            if engine.alive or self._lifecycle.engine_state(number) != "READY":
                continue
            del self._engines[number]
            returncode = engine.exited.result()
            extra = {"model": self.name, "pid": engine.pid, "returncode": returncode}
            log.warning("engine died", extra=extra)
            self._do(self._lifecycle.died(number, clock.now()))

    async def _stop(self, number: int, reason: str) -> None:
        engine = self._engines[number]
        held, started = engine.memory_bytes(), clock.now()
        await engine.stop()
        del self._engines[number]
        facts = {"model": self.name, "pid": engine.pid, "reason": reason, "freed_bytes": held}
        log.info("model unloaded", extra={**facts, "unload_s": clock.now() - started})
        self._do(self._lifecycle.stopped(number, clock.now()))

    def _wake_at(self, at: float) -> None:
        if self._wake is not None:
            self._wake.cancel()
        delay = max(at - clock.now(), 0)
        self._wake = asyncio.get_running_loop().call_later(delay, self._tick)

    def _tick(self) -> None:
        self._do(self._lifecycle.tick(clock.now()))

    def _schedule_expiry(self) -> None:
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None
        at = self._lifecycle.next_expiry(self._idle_timeout_s)
        if at is not None:
            delay = max(at - clock.now(), 0)
            self._expiry = asyncio.get_running_loop().call_later(delay, self._expire)

    def _expire(self) -> None:
        self._do(self._lifecycle.expire(clock.now(), self._idle_timeout_s))
