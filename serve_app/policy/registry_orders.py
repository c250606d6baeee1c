"""What operators ordered, and how far it is. Pure.

An order to unload goes to every replica that held the model when it was given; an order to load
goes to one. It is complete when the reports of all of those show it done, or when its time is up.
Orders live in the registry only: after its restart the caller repeats them, which does no harm.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from serve_app.messages import Load, ModelFacts, ReplicaReport, Unload

Action = Literal["load", "unload"]

_LOADED = ("READY", "LOADING", "UNLOADING")
# Orders that are remembered; older ones are dropped, complete or not.
_REMEMBERED = 64


@dataclass(frozen=True, slots=True)
class Unloaded:
    """A replica's verified account of one unload.

    Attributes:
        order: the order that asked for it; None for a timer, an eviction or a recycling.
        freed_bytes: that came back, measured.
        missing_bytes: of what the engines held, that did not.
    """

    model: str
    freed_bytes: int
    seconds: float
    order: str | None = None
    missing_bytes: int = 0


@dataclass(frozen=True, slots=True)
class OrderStatus:
    """What has become of an order.

    Attributes:
        complete: nothing more will happen.
        done: and it is as ordered, everywhere.
        freed_bytes: by an unload: measured by the replicas where they say so, else what their
            engines held.
        seconds: since the order was given, or what it took.
        pending: replicas that have not done it.
        errors: replica -> why it will not.
    """

    order: str
    action: Action
    model: str
    complete: bool
    done: bool
    freed_bytes: int
    seconds: float
    pending: tuple[str, ...]
    errors: Mapping[str, str]


@dataclass(slots=True)
class _Order:
    order: str
    action: Action
    model: str
    given_at: float
    until: float
    held_bytes: dict[str, int] = field(default_factory=dict)  # by replica, when it was given
    loads: dict[str, int] = field(default_factory=dict)
    pending: set[str] = field(default_factory=set)
    freed_bytes: dict[str, int] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    told: set[str] = field(default_factory=set)
    ended_at: float | None = None


class Orders:
    """See the module's docstring. Every method takes ``now`` in seconds."""

    def __init__(self) -> None:
        self._orders: OrderedDict[str, _Order] = OrderedDict()

    def __len__(self) -> int:
        return len(self._orders)

    def unload(
        self, order: str, model: str, reports: Iterable[ReplicaReport], now: float, timeout_s: float
    ) -> None:
        """Unload the model everywhere. An order with a known id is the same order."""
        if order in self._orders:
            return
        new = _Order(order, "unload", model, now, now + timeout_s)
        for report in reports:
            facts = model_in(report, model)
            if facts is not None and facts.state in _LOADED:
                new.pending.add(report.replica)
                new.held_bytes[report.replica] = facts.memory_bytes
                new.loads[report.replica] = facts.loads
        self._add(new, now)

    def load(
        self, order: str, model: str, target: str | None, now: float, timeout_s: float, why: str
    ) -> None:
        """Load the model in the replica ``target``; without one the order fails with ``why``."""
        if order in self._orders:
            return
        new = _Order(order, "load", model, now, now + timeout_s)
        if target is None:
            new.errors[""] = why
        else:
            new.pending.add(target)
        self._add(new, now)

    def _add(self, new: _Order, now: float) -> None:
        self._orders[new.order] = new
        self._end_if_complete(new, now)
        while len(self._orders) > _REMEMBERED:
            self._orders.popitem(last=False)

    def heard(self, report: ReplicaReport, unloaded: Iterable[Unloaded], now: float) -> None:
        """Compare what is pending in this replica with its report."""
        verified = {one.order: one for one in unloaded if one.order is not None}
        for order in self._orders.values():
            if report.replica in order.pending:
                self._compare(order, report, verified.get(order.order), now)

    def _compare(
        self, order: _Order, report: ReplicaReport, verified: Unloaded | None, now: float
    ) -> None:
        facts, replica = model_in(report, order.model), report.replica
        state = facts.state if facts else "UNLOADED"
        if order.action == "load":
            if state == "READY":
                order.pending.discard(replica)
            elif state == "FAILED" and replica in order.told:  # else of an earlier try
                order.errors[replica] = (facts.error if facts else None) or "the load failed"
        elif verified is not None:
            order.freed_bytes[replica] = verified.freed_bytes
        elif state not in _LOADED or (facts and facts.loads > order.loads[replica]):
            # Gone, or gone and loaded again between two reports by a request that came after.
            order.freed_bytes[replica] = order.held_bytes[replica]
        order.pending -= set(order.errors) | set(order.freed_bytes)
        self._end_if_complete(order, now)

    def forget(self, replica: str, now: float) -> None:
        """The replica is dead, and its engines with it."""
        for order in self._orders.values():
            if replica not in order.pending:
                continue
            order.pending.discard(replica)
            if order.action == "load":
                order.errors[replica] = "the worker died"
            else:
                order.freed_bytes[replica] = order.held_bytes[replica]
            self._end_if_complete(order, now)

    def tick(self, now: float) -> None:
        """End the orders whose time is up."""
        for order in self._orders.values():
            if order.pending and now >= order.until:
                late = dict.fromkeys(order.pending, "not done within the order's time")
                order.errors.update(late)
                order.pending.clear()
                self._end_if_complete(order, now)

    def directives(self, report: ReplicaReport) -> list[Load | Unload]:
        """What this replica still has to do. Never an unload of a model with a reference."""
        found: list[Load | Unload] = []
        for order in self._orders.values():
            if report.replica not in order.pending:
                continue
            facts = model_in(report, order.model)
            order.told.add(report.replica)
            if order.action == "load":
                if facts is not None and facts.state in ("UNLOADED", "FAILED"):
                    found.append(Load(order.model, order.order))
            elif facts is not None and facts.state == "READY" and facts.references == 0:
                generation, why = facts.generation, "operator"
                found.append(Unload(order.model, generation, why, order.order, force=True))
        return found

    def status(self, order: str, now: float) -> OrderStatus | None:
        """None for an order that was never given, or is forgotten."""
        found = self._orders.get(order)
        if found is None:
            return None
        return OrderStatus(
            order=order,
            action=found.action,
            model=found.model,
            complete=found.ended_at is not None,
            done=found.ended_at is not None and not found.errors,
            freed_bytes=sum(found.freed_bytes.values()),
            seconds=(now if found.ended_at is None else found.ended_at) - found.given_at,
            pending=tuple(sorted(found.pending)),
            errors=dict(found.errors),
        )

    @staticmethod
    def _end_if_complete(order: _Order, now: float) -> None:
        if not order.pending and order.ended_at is None:
            order.ended_at = now


def model_in(report: ReplicaReport, model: str) -> ModelFacts | None:
    """The model's facts in a report."""
    return next((facts for facts in report.models if facts.model == model), None)
