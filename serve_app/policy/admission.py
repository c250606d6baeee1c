"""Whether a page may start now: by the level of its memory domain and by the bytes it needs. Pure.

``decide`` is asked by the replica right before a prediction and again whenever a wait ends;
``decide_at_gateway`` is asked with a cached snapshot before the page is sent anywhere.

In this order:
  1. the page can never fit, because its estimate on a fresh engine is above the whole budget: to
     the fallback pool if it fits there, else 413 at once;
  2. the level's row of ``TABLE`` says what to do; "admit" means: look at the bytes, that is
  3. it fits into what is left of the budget and of the domain: go;
  4. it fits if idle engines of this replica are stopped: stop them (least recently used first,
     none that is not needed), then ask again; at last the page's own engine, if it is one that
     earlier pages made large, and a fresh one would do;
  5. wait for running pages to end, up to the queue deadline;
  6. after the deadline: to the fallback pool;
  7. else 503 memory_pressure, with a Retry-After from the rate at which pages end.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from serve_app.messages import Level, Priority

# Retry-After in seconds: what HTTP clients can use, and the value while nothing was measured.
MIN_RETRY_AFTER_S, MAX_RETRY_AFTER_S, DEFAULT_RETRY_AFTER_S = 1, 60, 5

Verb = Literal["admit", "wait", "fall back", "reject"]
WaitReason = Literal["level", "turn", "memory", "eviction"]
RejectCode = Literal["memory_pressure", "page_too_large_for_budget"]


# facts


@dataclass(frozen=True, slots=True)
class IdleEngine:
    """An engine of this replica that serves nobody: what stopping it would give back."""

    model: str
    engine: int
    held_bytes: int
    idle_s: float


@dataclass(frozen=True, slots=True)
class FallbackFacts:
    """Another pool that may take the page.

    Attributes:
        level: of the domain of its least pressed replica.
        estimate_bytes: the page's expected peak there; another kind of device needs another one.
        budget_bytes: the largest budget of its replicas.
    """

    pool: str
    level: Level
    estimate_bytes: int
    budget_bytes: int


@dataclass(frozen=True, slots=True)
class PageFacts:
    """What a replica knows when a page is about to start.

    Attributes:
        level: of the replica's own domain.
        estimate_bytes: expected peak of the engine that the page would run on.
        fresh_bytes: the same on a newly loaded engine; None: no less.
        needed_bytes: what the page adds to what is committed (``ByteBudget.needed_bytes``).
        left_bytes: the smaller of what is left of the budget and of the domain.
        budget_bytes: the whole budget.
        evictable: idle engines of this replica, without the one that the page would run on.
        own_engine: that one; None if it is still to be loaded.
        leaving_bytes: held by engines that are being stopped.
        fallback: None if there is no other pool for this page.
        arriving: new here, as against accepted earlier and waiting since.
        pages_ahead: pages of at least the same priority that wait here for memory since longer.
        waited_s: for memory or an engine, in this pool.
        queue_timeout_s: the most it may wait.
        queued: pages that wait in this pool.
        drain_rate: pages that end per second, measured; None if nothing was measured yet.
    """

    level: Level
    priority: Priority
    estimate_bytes: int
    needed_bytes: int
    left_bytes: int
    budget_bytes: int
    queue_timeout_s: float
    fresh_bytes: int | None = None
    evictable: Sequence[IdleEngine] = ()
    own_engine: IdleEngine | None = None
    leaving_bytes: int = 0
    fallback: FallbackFacts | None = None
    arriving: bool = True
    pages_ahead: int = 0
    waited_s: float = 0.0
    queued: int = 0
    drain_rate: float | None = None

    @property
    def least_bytes(self) -> int:
        """Expected peak where it is lowest."""
        return min(self.estimate_bytes, self.fresh_bytes or self.estimate_bytes)


@dataclass(frozen=True, slots=True)
class PoolFacts:
    """What the gateway knows of a pool, from the last reports.

    Attributes:
        level: of the domain of its least pressed replica.
        estimate_bytes: expected peak of the engine; 0 if nothing is known.
        budget_bytes: the largest budget of its replicas.
        others: as in ``PageFacts``.
    """

    level: Level
    priority: Priority
    estimate_bytes: int
    budget_bytes: int
    queue_timeout_s: float
    fallback: FallbackFacts | None = None
    waited_s: float = 0.0
    queued: int = 0
    drain_rate: float | None = None


# decisions


@dataclass(frozen=True, slots=True)
class Admit:
    """Start it now."""


@dataclass(frozen=True, slots=True)
class Evict:
    """Stop these idle engines, then ask again."""

    engines: tuple[IdleEngine, ...]


@dataclass(frozen=True, slots=True)
class Wait:
    """Ask again when something changes, at the latest in ``remaining_s``.

    ``reason``: "level" must fall; it is not the page's "turn"; "memory" must be given back by
    running pages; an "eviction" is under way.
    """

    reason: WaitReason
    remaining_s: float


@dataclass(frozen=True, slots=True)
class FallBack:
    """Another pool shall take it."""

    pool: str
    reason: str


@dataclass(frozen=True, slots=True)
class Reject:
    """An error for the client. ``limit_bytes``: the budget it does not fit into, or what is left.

    ``retry_after_s`` is None where trying again would not help.
    """

    code: RejectCode
    message: str
    needed_bytes: int
    limit_bytes: int
    retry_after_s: int | None = None


Decision = Admit | Evict | Wait | FallBack | Reject


# the table


@dataclass(frozen=True, slots=True)
class Rule:
    """One row: what happens to a new page, to one that waits, and to one that waited too long.

    ``engines``: what happens to idle engines in the domain meanwhile (``eviction.py``).
    """

    new: Verb
    waiting: Verb
    overdue: Verb
    engines: str


_KEEP = "stay until their idle time-out"
_TRIM = "stay; no preloads; heaps are trimmed"
_MAKE_ROOM = "unloaded, least recently used first, until there is room; not pinned ones"
_CLEAR = "all unloaded at once, pinned ones too"

#: (level, priority, a fallback pool can take the page now) -> what to do.
TABLE: Mapping[tuple[Level, Priority, bool], Rule] = {
    ("normal", "interactive", True): Rule("admit", "admit", "fall back", _KEEP),
    ("normal", "interactive", False): Rule("admit", "admit", "reject", _KEEP),
    ("normal", "batch", True): Rule("admit", "admit", "fall back", _KEEP),
    ("normal", "batch", False): Rule("admit", "admit", "reject", _KEEP),
    ("warning", "interactive", True): Rule("admit", "admit", "fall back", _TRIM),
    ("warning", "interactive", False): Rule("admit", "admit", "reject", _TRIM),
    ("warning", "batch", True): Rule("wait", "wait", "fall back", _TRIM),
    ("warning", "batch", False): Rule("wait", "wait", "reject", _TRIM),
    ("critical", "interactive", True): Rule("fall back", "fall back", "fall back", _MAKE_ROOM),
    ("critical", "interactive", False): Rule("reject", "wait", "reject", _MAKE_ROOM),
    ("critical", "batch", True): Rule("fall back", "fall back", "fall back", _MAKE_ROOM),
    ("critical", "batch", False): Rule("reject", "wait", "reject", _MAKE_ROOM),
    ("emergency", "interactive", True): Rule("fall back", "fall back", "fall back", _CLEAR),
    ("emergency", "interactive", False): Rule("reject", "wait", "reject", _CLEAR),
    ("emergency", "batch", True): Rule("fall back", "fall back", "fall back", _CLEAR),
    ("emergency", "batch", False): Rule("reject", "wait", "reject", _CLEAR),
}

_IN_WORDS: Mapping[Verb, str] = {
    "admit": "by its bytes",
    "wait": "wait",
    "fall back": "fallback pool",
    "reject": "503 `memory_pressure`",
}


def table_markdown() -> str:
    """``TABLE`` for DESIGN.md."""
    head = (
        "Level",
        "Priority",
        "Fallback can take it",
        "New page",
        "Waiting page",
        "After its queue deadline",
        "Idle engines in the domain",
    )
    rows = [head, ("---",) * len(head)]
    for (level, priority, fallback), rule in TABLE.items():
        steps = (_IN_WORDS[verb] for verb in (rule.new, rule.waiting, rule.overdue))
        rows.append((level, priority, "yes" if fallback else "no", *steps, rule.engines))
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


# the decision


def decide(page: PageFacts) -> Decision:
    """See the module's docstring, whose numbers are in the code."""
    if page.least_bytes > page.budget_bytes:  # 1
        return _never_fits(page)
    fallback = _open_fallback(page.fallback, page.priority)
    rule = TABLE[page.level, page.priority, fallback is not None]
    verb = rule.new if page.arriving else rule.waiting  # 2
    if verb == "admit":
        decision = _by_bytes(page)
        if not isinstance(decision, Wait):
            return decision
    elif verb == "wait":
        decision = _wait(page, "level")
    else:
        return _refuse(page, verb, fallback, f"the memory is {page.level}")
    if decision.remaining_s > 0:  # 5
        return decision
    why = f"waited {page.waited_s:.0f} s for {decision.reason}"
    return _refuse(page, rule.overdue, fallback, why)  # 6, 7


def decide_at_gateway(pool: PoolFacts) -> Decision:
    """The same from a snapshot: the level and "can never fit"; bytes are the replica's business.

    Never Evict. A Wait is one for the level.
    """
    return decide(
        PageFacts(
            level=pool.level,
            priority=pool.priority,
            estimate_bytes=pool.estimate_bytes,
            needed_bytes=0,
            left_bytes=0,
            budget_bytes=pool.budget_bytes,
            queue_timeout_s=pool.queue_timeout_s,
            fallback=pool.fallback,
            arriving=pool.waited_s == 0,
            waited_s=pool.waited_s,
            queued=pool.queued,
            drain_rate=pool.drain_rate,
        )
    )


def retry_after_s(queued: int, drain_rate: float | None) -> int:
    """Seconds until the queue and one more page have drained, between 1 and 60.

    Args:
        queued: pages that wait.
        drain_rate: pages that end per second; None or 0 if none did.
    """
    if not drain_rate or drain_rate < 0:
        return DEFAULT_RETRY_AFTER_S
    # min first: a tiny rate overflows into infinity, which has no ceiling.
    wait_s = math.ceil(min((queued + 1) / drain_rate, MAX_RETRY_AFTER_S))
    return max(wait_s, MIN_RETRY_AFTER_S)


def _by_bytes(page: PageFacts) -> Admit | Evict | Wait:
    if page.pages_ahead:
        # Or a stream of small pages would starve a large one until its deadline.
        return _wait(page, "turn")
    missing = page.needed_bytes - page.left_bytes
    if missing <= 0:  # 3
        return Admit()
    if missing <= page.leaving_bytes:
        return _wait(page, "eviction")
    chosen = _to_evict(page.evictable, missing - page.leaving_bytes)  # 4
    own = page.own_engine
    if not chosen and own is not None:
        # What the page needs beyond its engine's growth is an excess over the budget.
        excess = page.needed_bytes - max(0, page.estimate_bytes - own.held_bytes)
        given_back = own.held_bytes + page.left_bytes + page.leaving_bytes
        missing = page.least_bytes + excess - given_back
        others = _to_evict(page.evictable, missing)
        chosen = (own, *others) if others or missing <= 0 else ()
    return Evict(chosen) if chosen else _wait(page, "memory")


def _to_evict(engines: Sequence[IdleEngine], missing: int) -> tuple[IdleEngine, ...]:
    """Least recently used first, until it is enough; none if all together are not."""
    chosen: list[IdleEngine] = []
    for engine in sorted(engines, key=lambda engine: -engine.idle_s):
        if missing <= 0:
            break
        if engine.held_bytes > 0:
            chosen.append(engine)
            missing -= engine.held_bytes
    if missing > 0:
        return ()
    for engine in reversed(chosen):  # the last one may have made earlier, smaller ones needless
        if missing + engine.held_bytes <= 0:
            chosen.remove(engine)
            missing += engine.held_bytes
    return tuple(chosen)


def _never_fits(page: PageFacts) -> FallBack | Reject:
    fallback = page.fallback
    if fallback is None or fallback.estimate_bytes > fallback.budget_bytes:
        largest = max(page.budget_bytes, fallback.budget_bytes if fallback else 0)
        return Reject(
            "page_too_large_for_budget",
            f"the page needs about {page.least_bytes} bytes, a worker may use {largest}",
            page.least_bytes,
            largest,
        )
    if _open_fallback(fallback, page.priority):
        return FallBack(fallback.pool, "the page is above this worker's whole budget")
    # It fits there later: not the page's fault.
    return _reject(page, f"the memory of pool {fallback.pool} is {fallback.level}")


def _refuse(
    page: PageFacts, verb: Verb, fallback: FallbackFacts | None, why: str
) -> FallBack | Reject:
    if verb == "fall back" and fallback is not None:
        return FallBack(fallback.pool, why)
    return _reject(page, why)


def _reject(page: PageFacts, why: str) -> Reject:
    return Reject(
        "memory_pressure",
        f"no memory for this page now: {why}",
        page.needed_bytes,
        page.left_bytes,
        retry_after_s(page.queued, page.drain_rate),
    )


def _wait(page: PageFacts, reason: WaitReason) -> Wait:
    return Wait(reason, max(0.0, page.queue_timeout_s - page.waited_s))


def _open_fallback(fallback: FallbackFacts | None, priority: Priority) -> FallbackFacts | None:
    """The fallback pool, if it would look at a new page's bytes, and they can fit."""
    if fallback is None or fallback.estimate_bytes > fallback.budget_bytes:
        return None
    return fallback if TABLE[fallback.level, priority, False].new == "admit" else None
