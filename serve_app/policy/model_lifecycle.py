"""The life of one model in one replica, as a state machine. Pure: no clock, no log, no await.

A model has up to ``max_engines`` engines (loaded copies), each of which serves one lease at a
time. Callers acquire a lease and give it back; between, they wait in order. Who is only about to
acquire one says so before (``keep_alive``): users and leases are known by the ids of their tasks.

    engine:  LOADING ──loaded──▶ READY ──stop──▶ UNLOADING ──stopped──▶ (gone)
                │                  └───died───▶ (gone)
                ├──load_killed──▶ (gone; the next is started, after a back-off from the second on)
                └──load_failed──▶ (gone; the model is FAILED if it was the only one)

    model:   UNLOADED → LOADING → READY → UNLOADING → UNLOADED | FAILED(reason, until)

What happens on a stimulus, in this order (``_plan``):
  1. a free READY engine goes to the longest waiter, the most recently used engine first
     (so that surplus copies grow idle);
  2. no engine is READY or LOADING: wait for an UNLOADING one to be gone and for the end of a
     back-off, then start one;
  3. all are busy and the longest waiter has waited ``grow_after_s`` since a copy last became
     ready: start one more, if there may be one;
  4. otherwise ask to be woken when 3 would become true.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Literal

EngineState = Literal["LOADING", "READY", "UNLOADING"]
# Loads in a row that were ended from outside before that, too, is a failed load: the kernel may end
# every one for want of memory, and then the waiters shall hear of it.
MAX_KILLED_LOADS = 3
_BEST_FIRST: tuple[EngineState, ...] = ("READY", "LOADING", "UNLOADING")
ModelState = Literal["UNLOADED", "LOADING", "READY", "UNLOADING", "FAILED"]


@dataclass(frozen=True, slots=True)
class StartEngine:
    """Start and load an engine; answer with ``loaded``, ``load_failed`` or ``load_killed``."""

    engine: int


@dataclass(frozen=True, slots=True)
class StopEngine:
    """Unload this idle engine; answer with ``stopped``."""

    engine: int
    reason: str


@dataclass(frozen=True, slots=True)
class Grant:
    """The lease has its engine."""

    lease: str
    engine: int


@dataclass(frozen=True, slots=True)
class Refuse:
    """The lease cannot be had."""

    lease: str
    reason: str


@dataclass(frozen=True, slots=True)
class WakeAt:
    """Call ``tick`` at this time."""

    at: float


Action = StartEngine | StopEngine | Grant | Refuse | WakeAt


@dataclass(slots=True)
class _Engine:
    state: EngineState
    lease: str | None = None
    free_since: float = 0.0


# Holds an engine without being a lease; leases are named by callers, by uuid.
_UPKEEP = "upkeep"


class ModelLifecycle:
    """See the module's docstring. Every method takes ``now`` (seconds) and returns actions."""

    def __init__(
        self,
        *,
        max_engines: int,
        grow_after_s: float,
        backoff_s: float = 1.0,
        max_backoff_s: float = 60.0,
        max_restart_backoff_s: float = 5.0,
    ) -> None:
        self._max_engines, self._grow_after_s = max_engines, grow_after_s
        self._first_backoff_s, self._max_backoff_s = backoff_s, max_backoff_s
        # Shorter: the next page may well be a harmless one.
        self._max_restart_backoff_s = max_restart_backoff_s
        self._engines: dict[int, _Engine] = {}
        self._waiters: OrderedDict[str, float] = OrderedDict()
        self._leases: dict[str, int] = {}
        self._users: set[str] = set()
        self._next_engine = 0
        self._last_ready = 0.0
        self._failures = 0
        #: Engines that ended by themselves since one gave a lease back.
        self._deaths = 0
        #: Loads that were ended from outside since one succeeded.
        self._killed_loads = 0
        self._retry_at = 0.0
        self.failure: str | None = None
        #: Grows with every acquire: an order to unload that was given for an older one is stale.
        self.generation = 0

    # facts

    @property
    def state(self) -> ModelState:
        """The model's state: that of its best engine."""
        states = {engine.state for engine in self._engines.values()}
        for state in _BEST_FIRST:
            if state in states:
                return state
        return "FAILED" if self.failure else "UNLOADED"

    @property
    def references(self) -> int:
        """Tasks that use the model: with a lease, waiting for one, or about to."""
        return len(self._users | self._leases.keys() | self._waiters.keys())

    @property
    def users(self) -> int:
        """Tasks that have said so, whether or not they have a lease."""
        return len(self._users)

    @property
    def held(self) -> int:
        """Leases held."""
        return len(self._leases)

    def engine_state(self, engine: int) -> EngineState | None:
        """State of one engine; None if it is gone."""
        found = self._engines.get(engine)
        return found.state if found else None

    def backs_off(self, now: float) -> bool:
        """Whether an acquire would be refused because of the last failed load."""
        return self.state == "FAILED" and now < self._retry_at

    def next_engine(self) -> int | None:
        """The engine that an acquire would be granted at once; None if it had to wait."""
        return None if self._waiters else self._free_engine()

    def idle_engines(self, now: float) -> dict[int, float]:
        """Seconds since their last use, of the engines that nobody holds."""
        return {n: now - e.free_since for n, e in self._engines.items() if self._is_free(e)}

    # stimuli

    def keep_alive(self, task: str) -> None:
        """The task will use the model: until ``let_go`` it is not unloaded, nor its last engine."""
        self._users.add(task)

    def let_go(self, task: str) -> None:
        """The task has ended."""
        self._users.discard(task)

    def borrow(self, number: int) -> bool:
        """Hold this engine for upkeep, if it is READY and free; False if not.

        Not a use: neither its idle time nor the generation changes.
        """
        engine = self._engines.get(number)
        if engine is None or not self._is_free(engine):
            return False
        engine.lease = _UPKEEP
        return True

    def give_back(self, number: int, now: float) -> list[Action]:
        """The upkeep is done, or failed."""
        engine = self._engines.get(number)
        if engine is not None and engine.lease == _UPKEEP:
            engine.lease = None
        return self._plan(now)

    def acquire(self, lease: str, now: float) -> list[Action]:
        """A caller wants an engine. Answered by Grant or Refuse, now or later.

        ``lease`` is the caller's id; it has one lease at a time.
        """
        self.generation += 1
        if self.backs_off(now):
            return [Refuse(lease, f"{self.failure} (next try in {self._retry_at - now:.1f} s)")]
        self._waiters[lease] = now
        return self._plan(now)

    def release(self, lease: str, now: float, *, retire: str | None = None) -> list[Action]:
        """The caller is done, or gave up waiting. ``retire``: stop its engine, for this reason."""
        self._waiters.pop(lease, None)
        actions: list[Action] = []
        number = self._leases.pop(lease, None)
        engine = self._engines.get(number) if number is not None else None
        if engine is not None and number is not None:
            engine.lease, engine.free_since = None, now
            if not retire:
                self._deaths = 0
            elif engine.state == "READY":
                engine.state = "UNLOADING"
                actions.append(StopEngine(number, retire))
        return actions + self._plan(now)

    def loaded(self, number: int, now: float) -> list[Action]:
        """The engine is ready."""
        engine = self._engines[number]
        engine.state, engine.free_since = "READY", now
        self._last_ready = now
        self._failures, self._killed_loads, self.failure = 0, 0, None
        return self._plan(now)

    def load_failed(self, number: int, reason: str, now: float) -> list[Action]:
        """The engine did not load. Without another one, all waiters fail with this cause."""
        del self._engines[number]
        self._failures, self._killed_loads = self._failures + 1, 0
        self._back_off(self._failures, self._max_backoff_s, now)
        if any(engine.state == "READY" for engine in self._engines.values()):
            return self._plan(now)
        self.failure = reason
        refused: list[Action] = [Refuse(lease, reason) for lease in self._waiters]
        self._waiters.clear()
        return refused

    def load_killed(self, number: int, reason: str, now: float) -> list[Action]:
        """The load was ended from outside: the same waiters get another one, a few times."""
        self._killed_loads += 1
        if self._killed_loads >= MAX_KILLED_LOADS:
            return self.load_failed(number, reason, now)
        del self._engines[number]
        self.failure = None  # of an earlier load
        return self._replace(now)

    def died(self, number: int, now: float) -> list[Action]:
        """A READY engine's process ended by itself. Its lease holder finds out on its own.

        The first is replaced at once; if the next ends as well before a lease was given back,
        a start waits for the back-off, so that no storm of starts follows.
        """
        engine = self._engines.pop(number, None)
        if engine is not None and engine.lease is not None:
            self._leases.pop(engine.lease, None)
        return self._replace(now)

    def stopped(self, number: int, now: float) -> list[Action]:
        """An UNLOADING engine is gone."""
        self._engines.pop(number, None)
        return self._plan(now)

    def evict(self, number: int, reason: str) -> list[Action]:
        """Stop this one engine to make room, if it is READY and free."""
        engine = self._engines.get(number)
        if engine is None or not self._is_free(engine):
            return []
        engine.state = "UNLOADING"
        return [StopEngine(number, reason)]

    def unload(self, now: float, reason: str, *, generation: int | None = None) -> list[Action]:
        """Stop every engine that is READY and free; nothing while anybody uses the model.

        With ``generation``, only if nobody acquired since the order was given.
        """
        if self.references or (generation is not None and generation != self.generation):
            return []
        return self._stop_free(now, 0.0, reason)

    def expire(self, now: float, idle_timeout_s: float, *, keep_one: bool = False) -> list[Action]:
        """Stop the engines that nobody used for ``idle_timeout_s`` (−1: never).

        With ``keep_one`` surplus engines only: the last READY one is left to the registry. So it
        is while anybody is about to use it.
        """
        if idle_timeout_s < 0:
            return []
        keep_one = keep_one or self.references > 0
        return self._stop_free(now, idle_timeout_s, "idle", keep_one=keep_one)

    def next_expiry(self, idle_timeout_s: float, *, keep_one: bool = False) -> float | None:
        """When ``expire`` has something to do next, if nothing else happens."""
        free = [e.free_since for e in self._engines.values() if self._is_free(e)]
        keep_one = keep_one or self.references > 0
        if not free or idle_timeout_s < 0 or (keep_one and self._ready() <= 1):
            return None
        return min(free) + idle_timeout_s

    def idle_since(self) -> float | None:
        """When the model was last used; None while it is in use or has no READY engine."""
        if self.references or not self._ready():
            return None
        return max(e.free_since for e in self._engines.values() if e.state == "READY")

    def tick(self, now: float) -> list[Action]:
        """Time has passed."""
        return self._plan(now)

    # decisions

    def _plan(self, now: float) -> list[Action]:
        actions: list[Action] = []
        while self._waiters and (number := self._free_engine()) is not None:  # 1
            lease, _ = self._waiters.popitem(last=False)
            self._engines[number].lease = lease
            self._leases[lease] = number
            actions.append(Grant(lease, number))
        if not self._waiters:
            return actions
        states = [engine.state for engine in self._engines.values()]
        if "READY" not in states and "LOADING" not in states:  # 2
            if "UNLOADING" not in states:
                at = self._retry_at
                actions.append(self._start() if now >= at else WakeAt(at))
        elif "LOADING" not in states and len(states) < self._max_engines:
            grow_at = max(next(iter(self._waiters.values())), self._last_ready) + self._grow_after_s
            grow_at = max(grow_at, self._retry_at)
            actions.append(self._start() if now >= grow_at else WakeAt(grow_at))  # 3, 4
        return actions

    def _replace(self, now: float) -> list[Action]:
        self._deaths += 1
        if self._deaths > 1:
            self._back_off(self._deaths - 1, self._max_restart_backoff_s, now)
        return self._plan(now)

    def _back_off(self, times: int, most_s: float, now: float) -> None:
        backoff_s = self._first_backoff_s * 2 ** min(times - 1, 32)
        self._retry_at = now + min(backoff_s, most_s)

    def _start(self) -> StartEngine:
        self._next_engine += 1
        self._engines[self._next_engine] = _Engine("LOADING")
        return StartEngine(self._next_engine)

    def _free_engine(self) -> int | None:
        free = [(e.free_since, n) for n, e in self._engines.items() if self._is_free(e)]
        return max(free)[1] if free else None

    def _stop_free(
        self, now: float, idle_s: float, reason: str, *, keep_one: bool = False
    ) -> list[Action]:
        actions: list[Action] = []
        oldest_first = sorted(self._engines.items(), key=lambda item: item[1].free_since)
        for number, engine in oldest_first:
            if keep_one and self._ready() <= 1:
                break
            if self._is_free(engine) and now - engine.free_since >= idle_s:
                engine.state = "UNLOADING"
                actions.append(StopEngine(number, reason))
        return actions

    def _ready(self) -> int:
        return sum(engine.state == "READY" for engine in self._engines.values())

    @staticmethod
    def _is_free(engine: _Engine) -> bool:
        return engine.state == "READY" and engine.lease is None
