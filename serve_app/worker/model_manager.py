"""Carries out what ``policy.model_lifecycle`` decides for one model: starts, stops and leases."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from typing import Any

from serve_app import clock
from serve_app.errors import (
    DeadlineExceeded,
    EngineLoadKilled,
    EngineUnavailable,
    OcrServeError,
    ReplicaUnavailable,
)
from serve_app.messages import EngineFacts, ModelFacts
from serve_app.policy.model_lifecycle import (
    Action,
    Grant,
    ModelLifecycle,
    ModelState,
    Refuse,
    StartEngine,
    StopEngine,
    WakeAt,
)
from serve_app.settings import ModelSettings
from serve_app.telemetry import metrics
from serve_app.worker.engine_endings import EngineEndings
from serve_app.worker.engine_process import EngineProcess
from serve_app.worker.unload_check import UnloadResult, wait_for_memory

log = logging.getLogger("ocr_serve.models")

# Bytes that an engine still holds on its device; 0 once it is gone.
MemoryOf = Callable[[EngineProcess], Awaitable[int]]
Granted = tuple[int, EngineProcess]


class EngineLease:
    """An engine for one page. ``retire`` has the engine replaced when the lease ends."""

    def __init__(self, number: int, engine: EngineProcess, *, cold: bool, load_s: float) -> None:
        self.number, self.engine, self.cold, self.load_s = number, engine, cold, load_s
        self.retire: str | None = None


class ModelManager:
    """One model in one replica. All methods run on the replica's event loop.

    Args:
        new_engine: makes an engine that is not started.
        pool: of the replica; for the metrics.
        load_gate: shared by the replica's models; caps concurrent loads.
        memory_of: measures an engine.
        on_loaded: called with what a new engine holds, in bytes.
        on_gone: called with the number of an engine whose process is gone.
        on_change: called after every change of state.
    """

    #: Whether to unload the last idle engine too: set while no registry answers.
    autonomous = True
    pinned = False
    loads = 0
    _closing = False
    _wake: asyncio.TimerHandle | None = None
    _expiry: asyncio.TimerHandle | None = None

    def __init__(
        self,
        name: str,
        settings: ModelSettings,
        new_engine: Callable[[], EngineProcess],
        *,
        pool: str = "",
        load_gate: asyncio.Semaphore,
        memory_of: MemoryOf,
        on_loaded: Callable[[int], None] = lambda held_bytes: None,
        on_gone: Callable[[int], None] = lambda number: None,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self.name, self._settings = name, settings
        self._labels = {"model": name, "pool": pool}
        self._new_engine, self._load_gate = new_engine, load_gate
        self._memory_of, self._on_loaded = memory_of, on_loaded
        self._on_gone, self._on_change = on_gone, on_change
        self._lifecycle = ModelLifecycle(
            max_engines=settings.max_concurrent_predictions, grow_after_s=settings.grow_after_s
        )
        self._engines: dict[int, EngineProcess] = {}
        self._loaded_at: dict[int, float] = {}
        self._granted: dict[str, asyncio.Future[Granted]] = {}
        self._failure_type: type[OcrServeError] = EngineUnavailable
        self._tasks: set[asyncio.Task[Any]] = set()
        self._stops: dict[int, asyncio.Task[UnloadResult]] = {}
        self._endings = EngineEndings()

    @contextlib.asynccontextmanager
    async def lease(
        self, task: str | None = None, *, timeout_s: float
    ) -> AsyncIterator[EngineLease]:
        """Hold an engine for the length of the block; load one if there is none.

        Args:
            task: the id of who uses it, if they have it from elsewhere. One lease at a time.
            timeout_s: longest wait for an engine, its load included.

        Raises:
            EngineUnavailable: the load failed (or failed lately, and is backing off).
            DeadlineExceeded: no engine within ``timeout_s``.
        """
        if self._closing:
            raise ReplicaUnavailable("this worker is stopping")
        lease_id, asked = task or uuid.uuid4().hex, clock.now()
        granted: asyncio.Future[Granted] = asyncio.get_running_loop().create_future()
        self._granted[lease_id] = granted
        retire = None
        try:
            self._do(self._lifecycle.acquire(lease_id, asked))
            await asyncio.wait([granted], timeout=max(timeout_s, 0))
            if not granted.done():
                raise DeadlineExceeded(f"no free engine of {self.name} within {timeout_s:.1f} s")
            number, engine = granted.result()
            # Also if it waited for the end of the engine before, or for a further one.
            cold = self._loaded_at.get(number, asked) > asked
            lease = EngineLease(number, engine, cold=cold, load_s=clock.now() - asked)
            try:
                yield lease
            finally:
                # One that was killed under the page is not gone yet, but no use to the next.
                retire = lease.retire or ("killed" if engine.killed else None)
        finally:
            del self._granted[lease_id]
            self._reap_dead()
            self._do(self._lifecycle.release(lease_id, clock.now(), retire=retire))

    @property
    def state(self) -> ModelState:
        """The model's, in this replica."""
        return self._lifecycle.state

    @property
    def users(self) -> int:
        """Tasks that use the model, or are about to."""
        return self._lifecycle.users

    @property
    def backs_off(self) -> bool:
        """Whether a load failed lately and none is tried yet."""
        return self._lifecycle.backs_off(clock.now())

    @contextlib.contextmanager
    def keep_alive(self, task: str) -> Iterator[None]:
        """The task uses the model, or is about to: from its arrival on nothing idles out."""
        self._lifecycle.keep_alive(task)
        self._do([])
        try:
            yield
        finally:
            self._lifecycle.let_go(task)
            self._do([])

    async def load(self) -> None:
        """Have one engine ready, without a page. Raises as ``lease`` does."""
        async with self.lease(timeout_s=self._settings.load_timeout_s):
            pass

    async def unload(self, reason: str, *, generation: int | None = None) -> list[UnloadResult]:
        """Unload all engines and wait until their memory is back.

        Nothing happens while the model is in use, or if it was used since ``generation``.
        """
        self._do(self._lifecycle.unload(clock.now(), reason, generation=generation))
        return list(await asyncio.gather(*map(asyncio.shield, self._stops.values())))

    async def evict(self, number: int) -> list[UnloadResult]:
        """Unload this one engine to make room; nothing if it is in use (again)."""
        self._do(self._lifecycle.evict(number, "evicted"))
        stop = self._stops.get(number)
        return [await asyncio.shield(stop)] if stop else []

    async def trim(self) -> None:
        """Have the free engines hand unused heap back; those in use are left alone."""
        for number, engine in list(self._engines.items()):
            if not self._lifecycle.borrow(number):
                continue
            try:
                await engine.trim()
            finally:
                self._do(self._lifecycle.give_back(number, clock.now()))
            log.info("engine trimmed", extra={"model": self.name, "pid": engine.pid})

    def next_engine(self) -> int | None:
        """The engine that the next lease would get without a load or a wait."""
        return self._lifecycle.next_engine()

    def idle_engines(self) -> dict[int, float]:
        """Seconds without use, of the engines that are loaded and not in use."""
        return self._lifecycle.idle_engines(clock.now())

    def leaving_engines(self) -> list[int]:
        """The engines that are being stopped."""
        return list(self._stops)

    @property
    def engines(self) -> dict[int, EngineProcess]:
        """All engines that have loaded and are not gone."""
        return dict(self._engines)

    def set_autonomous(self, autonomous: bool) -> None:
        """Decide on idle time-outs here (True) or leave them to the registry."""
        if autonomous != self.autonomous:
            self.autonomous = autonomous
            self._schedule_expiry()

    def facts(self) -> ModelFacts:
        """State, references and engines."""
        engines = tuple(
            EngineFacts(
                engine=number,
                pid=engine.pid,
                state=self._lifecycle.engine_state(number) or "UNLOADING",
                memory_bytes=engine.memory.held_bytes(),
                baseline_bytes=engine.memory.baseline_bytes,
                pages=engine.pages,
            )
            for number, engine in self._engines.items()
            if engine.alive
        )
        idle_since = self._lifecycle.idle_since()
        references = self._lifecycle.references
        return ModelFacts(
            model=self.name,
            state=self._lifecycle.state,
            generation=self._lifecycle.generation,
            references=references,
            waiting=references - self._lifecycle.held,
            idle_s=None if idle_since is None else clock.now() - idle_since,
            loads=self.loads,
            engines=engines,
            error=self._lifecycle.failure,
            endings=self._endings.facts(),
        )

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
                    self._stops[engine] = self._run(self._stop(engine, reason))
                case Grant(lease, engine):
                    self._grant(lease, engine)
                case Refuse(lease, reason):
                    self._refuse(lease, reason)
                case WakeAt(at):
                    self._wake_at(at)
        self._schedule_expiry()
        self._on_change()

    def _grant(self, lease: str, engine: int) -> None:
        waiter = self._granted.get(lease)
        if waiter is not None and not waiter.done():
            waiter.set_result((engine, self._engines[engine]))

    def _refuse(self, lease: str, reason: str) -> None:
        waiter = self._granted.get(lease)
        if waiter is not None and not waiter.done():
            # A fresh one for each waiter: an exception collects the frames that it passes through.
            waiter.set_exception(self._failure_type(reason))

    def _run(self, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a model's task failed", extra={"model": self.name, "error": repr(error)})

    async def _start(self, number: int) -> None:
        engine, started = self._new_engine(), clock.now()
        try:
            async with self._load_gate:
                await engine.start(timeout_s=self._settings.load_timeout_s)
            held_bytes = await self._memory_of(engine)
            self._on_loaded(held_bytes)
        except OcrServeError as error:
            self._load_failed(number, started, type(error), str(error))
            return
        except asyncio.CancelledError:
            engine.kill()
            raise
        except Exception as error:
            # Not a known failure: the waiters must still hear of it.
            engine.kill()
            log.exception("load failed", extra={"model": self.name})
            self._load_failed(number, started, EngineUnavailable, type(error).__name__)
            return
        self.loads += 1
        self._engines[number], self._loaded_at[number] = engine, clock.now()
        self._observe_load(started, "success")
        facts = {"model": self.name, "pid": engine.pid, "load_s": clock.now() - started}
        log.info("model loaded", extra={**facts, "memory_bytes": held_bytes})
        self._run(self._watch(engine))
        self._do(self._lifecycle.loaded(number, clock.now()))

    def _load_failed(
        self, number: int, started: float, kind: type[OcrServeError], reason: str
    ) -> None:
        self._failure_type = kind
        self._observe_load(started, "failed")
        log.warning("load failed", extra={"model": self.name, "error": reason})
        killed = issubclass(kind, EngineLoadKilled)
        ended = self._lifecycle.load_killed if killed else self._lifecycle.load_failed
        self._do(ended(number, reason, clock.now()))

    def _observe_load(self, started: float, outcome: str) -> None:
        labels = {**self._labels, "outcome": outcome}
        metrics.load_seconds.observe(clock.now() - started, tags=labels)

    async def _watch(self, engine: EngineProcess) -> None:
        """Notice an engine that ends by itself, between pages too."""
        await asyncio.shield(engine.exited)
        self._reap_dead()

    def _reap_dead(self) -> None:
        """Tell the lifecycle of ended engines, before it would hand one out again."""
        for number, engine in list(self._engines.items()):
            if engine.alive or self._lifecycle.engine_state(number) != "READY":
                continue
            del self._engines[number], self._loaded_at[number]
            self._on_gone(number)
            self._endings.died(self.name, engine.pid, engine.exited.result())
            metrics.engine_deaths.inc(tags=self._labels)
            self._do(self._lifecycle.died(number, clock.now()))

    async def _stop(self, number: int, reason: str) -> UnloadResult:
        engine, started = self._engines[number], clock.now()
        held = freed = 0
        try:
            held = await self._memory_of(engine)
            await engine.stop()
            freed = await wait_for_memory(held, lambda: self._memory_of(engine))
        except Exception:
            # Whatever it was: the process must go, and the model must not be UNLOADING for ever.
            log.exception("unload failed", extra={"model": self.name, "pid": engine.pid})
            engine.kill()
        del self._engines[number], self._loaded_at[number], self._stops[number]
        self._on_gone(number)
        unload_s = clock.now() - started
        result = UnloadResult(self.name, engine.pid, reason, held, freed, unload_s)
        self._endings.unloaded(result)
        metrics.unload_seconds.observe(unload_s, tags={**self._labels, "reason": reason})
        self._do(self._lifecycle.stopped(number, clock.now()))
        return result

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
        at = self._lifecycle.next_expiry(self._idle_timeout_s, keep_one=not self.autonomous)
        if at is not None:
            delay = max(at - clock.now(), 0)
            self._expiry = asyncio.get_running_loop().call_later(delay, self._expire)

    def _expire(self) -> None:
        now, timeout_s = clock.now(), self._idle_timeout_s
        self._do(self._lifecycle.expire(now, timeout_s, keep_one=not self.autonomous))

    @property
    def _idle_timeout_s(self) -> float:
        return -1 if self.pinned else self._settings.idle_timeout_s
