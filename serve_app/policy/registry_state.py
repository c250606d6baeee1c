"""The registry's bookkeeping, as a state machine. Pure: no clock, no log, no await.

Replicas report (``heard``) after changes and at least once per heartbeat; the answer tells
them what to unload, load or trim. All that is known of a replica is its last report, so the
state is back one heartbeat after a restart, and a replica that misses its heartbeats is
forgotten with everything it held (``tick``). The exceptions:

* pins: replicas repeat the pins they were told, with their version. A registry that knows an
  older version (after a restart: 0) adopts them, and puts on top what was pinned or unpinned
  since it started;
* what estimators learned (``model_estimators.py``): replicas repeat it as soon as they hear that
  this registry knows less than they do;
* orders and task records: lost; see ``registry_orders.py``.

What a report is answered with, in this order, one directive per model:
  1. operators' orders;
  2. unloads because of the level of a domain (``eviction.py``);
  3. unloads of what was idle for too long (``idle.py``);
  4. from the level warning on: trim, every ``_TRIM_INTERVAL_S``.
None of them unloads a model with a reference. A directive is given once; the same one for the
same generation is repeated only if reports still show it undone after ``_REPEAT_HEARTBEATS``.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from serve_app.messages import (
    DeviceKind,
    Directive,
    EstimatorState,
    HeartbeatAnswer,
    Level,
    Load,
    ReplicaReport,
    TaskKind,
    TaskRecord,
    Trim,
    Unload,
)
from serve_app.policy.estimate import knows_much_more
from serve_app.policy.eviction import pressure_unloads
from serve_app.policy.idle import idle_unloads
from serve_app.policy.load_target import target_of_load
from serve_app.policy.registry_orders import Orders, OrderStatus, Unloaded, model_in
from serve_app.policy.registry_views import (
    DomainView,
    Heard,
    ModelView,
    domain_views,
    model_views,
)

MAX_TASK_RECORDS = 1000

# A report over Serve costs the registry 2 ms of CPU, of which 0.13 are ours (tests/bench/scale.py);
# this many are less than half a core. The more replicas there are, the longer each waits between
# two reports; only crossings of a memory level and the results of orders do not wait.
MAX_REPORTS_PER_S = 200
# Well below what the memory watch takes for silence, and Ray's metrics for the end of a series.
MAX_GAP_S = 5.0

_REPEAT_HEARTBEATS = 3
# Trimming costs an engine some 10 ms, and brings little when it was just done.
_TRIM_INTERVAL_S = 30.0


@dataclass(frozen=True, slots=True)
class RecoveryState:
    """What a replica says besides its facts, so that the registry can be rebuilt.

    Attributes:
        pinned, pins_version: as last heard from a registry; version 0 if never.
        unloaded: verified unloads since the last report that was answered.
        observations: how many each of its estimators is made of, by model.
        learned: of them, what the registry should know.
    """

    pinned: frozenset[str] = frozenset()
    pins_version: int = 0
    unloaded: tuple[Unloaded, ...] = ()
    observations: Mapping[str, int] = field(default_factory=dict)
    learned: Mapping[str, EstimatorState] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Sent:
    directive: Load | Unload
    at: float


_NOTHING = RecoveryState()


class RegistryState:
    """See the module's docstring.

    Args:
        idle_timeouts_s: by declared model; -1 never, 0 at once.
        target_fraction: a critical domain is relieved down to this: the threshold less hysteresis.
        heartbeat_s: longest time between two reports of a replica, in a cluster of few.
        missed_heartbeats: after so many a replica is dead.
    """

    def __init__(
        self,
        idle_timeouts_s: Mapping[str, float],
        *,
        target_fraction: float = 0.93,
        heartbeat_s: float = 1.0,
        missed_heartbeats: int = 5,
    ) -> None:
        self._idle_timeouts_s, self._target_fraction = dict(idle_timeouts_s), target_fraction
        self._shortest_s, self._missed_heartbeats = heartbeat_s, missed_heartbeats
        self._heard: dict[str, Heard] = {}
        #: How often each was last told to report.
        self._told_s: dict[str, float] = {}
        #: The replicas that report a domain.
        self._residents: defaultdict[str, set[str]] = defaultdict(set)
        self._levels: dict[str, Level] = {}
        self._orders = Orders()
        self._sent: dict[tuple[str, str], _Sent] = {}
        self._trimmed_at: dict[str, float] = {}
        self._records: OrderedDict[str, TaskRecord] = OrderedDict()
        self._learned: dict[tuple[str, DeviceKind], EstimatorState] = {}
        self._pins: frozenset[str] = frozenset()
        self._pin_edits: dict[str, bool] = {}
        self.pins_version = 0

    @property
    def gap_s(self) -> float:
        """Between two reports of a replica, so that those of all of them are not too many."""
        return min(len(self._heard) / MAX_REPORTS_PER_S, MAX_GAP_S)

    @property
    def heartbeat_s(self) -> float:
        """Longest time between two reports of a replica."""
        return max(self._shortest_s, self.gap_s)

    @property
    def _repeat_s(self) -> float:
        return self.heartbeat_s * _REPEAT_HEARTBEATS

    # stimuli

    def heard(
        self, report: ReplicaReport, now: float, recovery: RecoveryState = _NOTHING
    ) -> HeartbeatAnswer:
        """A replica reports. Reports of one replica must come in order, one at a time."""
        self._settle_in(report)
        self._heard[report.replica] = Heard(report, now)
        self._told_s[report.replica] = self.heartbeat_s
        self.record(report.finished)
        self._adopt_pins(recovery)
        self._learn(report.device, recovery.learned)
        self._orders.heard(report, recovery.unloaded, now)
        self._forget_done(report)
        return HeartbeatAnswer(
            tuple(self._directives(report, now)),
            self._pins,
            known=self._known(report.device),
            learned=self._lessons(report.device, recovery.observations),
            gap_s=self.gap_s,
        )

    def tick(self, now: float) -> tuple[str, ...]:
        """Time has passed: the replicas that are dead, and forgotten now."""
        self._orders.tick(now)
        dead = [
            name
            for name, heard in self._heard.items()
            if now - heard.at > self._told_s[name] * self._missed_heartbeats
        ]
        for replica in dead:
            self.gone(replica, now)
        return tuple(dead)

    def gone(self, replica: str, now: float) -> None:
        """A replica is dead or says good-bye: forget it and everything it held."""
        self._move_out(replica)
        self._heard.pop(replica, None)
        self._told_s.pop(replica, None)
        self._trimmed_at.pop(replica, None)
        for key in [key for key in self._sent if key[0] == replica]:
            del self._sent[key]
        self._orders.forget(replica, now)

    def record(self, finished: Iterable[TaskRecord]) -> None:
        """Tasks have ended; one may be told again."""
        for record in finished:  # by id: who had no answer repeats it
            self._records[record.task_id] = record
        while len(self._records) > MAX_TASK_RECORDS:
            self._records.popitem(last=False)

    def set_levels(self, levels: Mapping[str, Level]) -> None:
        """The memory watch's last snapshot, by domain."""
        self._levels = dict(levels)

    # operators

    def pin(self, model: str, *, pinned: bool = True) -> None:
        """Keep the model out of time-outs and evictions (not out of an emergency), or no more.

        Raises:
            KeyError: the model is not declared.
        """
        if model not in self._idle_timeouts_s:
            raise KeyError(model)
        self._pin_edits[model] = pinned
        self._pins = self._pins | {model} if pinned else self._pins - {model}
        self.pins_version += 1

    def order_unload(self, order: str, model: str, now: float, timeout_s: float) -> None:
        """Unload the model in every replica, as soon as nobody uses it there."""
        reports = [heard.report for heard in self._heard.values()]
        self._orders.unload(order, model, reports, now, timeout_s)

    def order_load(
        self, order: str, model: str, now: float, timeout_s: float, pool: str | None = None
    ) -> None:
        """Load the model in the replica that has it already, else in the one with most room.

        Fails at once where no replica is below the level warning: a load ahead of need must not
        make pressure worse.
        """
        target = target_of_load(self.reports(), self._levels, model, pool)
        why = "no worker of this pool with the model and free memory"
        self._orders.load(order, model, target, now, timeout_s, why)

    def order_status(self, order: str, now: float) -> OrderStatus | None:
        """None for an order that was never given, or is long forgotten."""
        return self._orders.status(order, now)

    # facts

    @property
    def pinned(self) -> frozenset[str]:
        """Models that no time-out and no eviction unloads."""
        return self._pins

    def reports(self) -> list[ReplicaReport]:
        """The last one of every living replica."""
        return [heard.report for heard in self._heard.values()]

    def tasks(
        self, limit: int = MAX_TASK_RECORDS, kind: TaskKind | None = None
    ) -> list[TaskRecord]:
        """The last ended tasks (of this kind), newest first."""
        newest_first = reversed(self._records.values())
        found = [record for record in newest_first if kind in (None, record.kind)]
        return found[: max(0, limit)]

    def models(self, now: float) -> list[ModelView]:
        """For GET /v1/models."""
        return model_views(self._heard.values(), self._idle_timeouts_s, self._pins, now)

    def memory(self, now: float) -> list[DomainView]:
        """For GET /v1/memory."""
        return domain_views(self._heard.values(), self._levels, now)

    def learned(self, model: str, device: DeviceKind) -> EstimatorState | None:
        """What a new replica's estimator starts from."""
        return self._learned.get((model, device))

    # bookkeeping

    def _adopt_pins(self, recovery: RecoveryState) -> None:
        if recovery.pins_version <= self.pins_version:
            return
        known = recovery.pinned.intersection(self._idle_timeouts_s)
        kept = {model for model in known if self._pin_edits.get(model, True)}
        added = {model for model, pinned in self._pin_edits.items() if pinned}
        self._pins = frozenset(kept | added)
        # One further if this set is not the reported one, so that it wins everywhere.
        self.pins_version = recovery.pins_version + (self._pins != recovery.pinned)

    def _learn(self, device: DeviceKind, learned: Mapping[str, EstimatorState]) -> None:
        """The most experienced one wins; equally experienced, the newest."""
        for model, state in learned.items():
            known = self._learned.get((model, device))
            if model not in self._idle_timeouts_s:
                continue  # of another version of the configuration; also bounds the memory
            if known is None or state.observations >= known.observations:
                self._learned[model, device] = state

    def _known(self, device: DeviceKind) -> dict[str, int]:
        """Observations behind what was learned of each declared model."""
        states = {model: self.learned(model, device) for model in self._idle_timeouts_s}
        return {model: state.observations if state else 0 for model, state in states.items()}

    def _lessons(
        self, device: DeviceKind, observations: Mapping[str, int]
    ) -> dict[str, EstimatorState]:
        """What a replica with so many observations should learn from the others."""
        return {
            model: state
            for model, own in observations.items()
            if (state := self.learned(model, device)) is not None
            and knows_much_more(state.observations, own)
        }

    def _forget_done(self, report: ReplicaReport) -> None:
        """Directives that were carried out, or that the facts have overtaken."""
        for key, sent in list(self._sent.items()):
            if key[0] != report.replica:
                continue
            facts = model_in(report, key[1])
            if isinstance(sent.directive, Load):
                settled = facts is None or facts.state not in ("UNLOADED", "FAILED")
            else:
                under_way = facts is not None and facts.state in ("READY", "UNLOADING")
                stale = facts is not None and facts.generation != sent.directive.generation
                settled = not under_way or stale
            if settled:
                del self._sent[key]

    # decisions

    def _directives(self, report: ReplicaReport, now: float) -> list[Directive]:
        chosen: dict[str, Load | Unload] = {}
        wanted = [
            *self._orders.directives(report),  # 1
            *self._under_pressure(report, now),  # 2
            *idle_unloads(report.models, self._idle_timeouts_s, self._pins),  # 3
        ]
        for directive in wanted:
            chosen.setdefault(directive.model, directive)
        answer: list[Directive] = []
        for model, directive in chosen.items():
            if not self._is_under_way(report.replica, directive, now):
                self._sent[report.replica, model] = _Sent(directive, now)
                answer.append(directive)
        if self._needs_trim(report, now):  # 4
            answer.append(Trim())
        return answer

    def _under_pressure(self, report: ReplicaReport, now: float) -> list[Unload]:
        """This replica's part of what should go; the others hear theirs at their heartbeats.

        Looked at are the replicas that share a pressed domain with this one, not the whole cluster:
        every replica asks once a second.
        """
        pressed = [one.domain for one in report.domains if self._is_pressed(one.domain)]
        if not pressed:
            return []
        names = sorted(set().union(*(self._residents[domain] for domain in pressed)))
        heard = [self._heard[name] for name in names]
        touched = {one.domain for other in heard for one in other.report.domains}
        unloads = pressure_unloads(
            (other.report for other in heard),
            {domain: self._levels[domain] for domain in touched if self._is_pressed(domain)},
            target_fraction=self._target_fraction,
            pinned=self._pins,
            leaving={key for other in heard for key in self._leaving(other.report, now)},
            ages_s={other.report.replica: now - other.at for other in heard},
        )
        return [unload for name, unload in unloads if name == report.replica]

    def _settle_in(self, report: ReplicaReport) -> None:
        self._move_out(report.replica)
        for one in report.domains:
            self._residents[one.domain].add(report.replica)

    def _move_out(self, replica: str) -> None:
        before = self._heard.get(replica)
        for one in before.report.domains if before else ():
            self._residents[one.domain].discard(replica)
            if not self._residents[one.domain]:
                del self._residents[one.domain]

    def _is_pressed(self, domain: str) -> bool:
        return self._levels.get(domain) in ("critical", "emergency")

    def _leaving(self, report: ReplicaReport, now: float) -> Iterator[tuple[str, str]]:
        """The models of a replica that were told to go a short while ago."""
        for model in report.models:
            sent = self._sent.get((report.replica, model.model))
            if sent and isinstance(sent.directive, Unload) and now - sent.at < self._repeat_s:
                yield report.replica, model.model

    def _is_under_way(self, replica: str, directive: Load | Unload, now: float) -> bool:
        sent = self._sent.get((replica, directive.model))
        if sent is None or now - sent.at >= self._repeat_s:
            return False
        # A new order about the same model is told at once: its id must come back with the result.
        return sent.directive == directive or not directive.order

    def _needs_trim(self, report: ReplicaReport, now: float) -> bool:
        pressed = any(self._levels.get(one.domain, "normal") != "normal" for one in report.domains)
        since = now - self._trimmed_at.get(report.replica, -_TRIM_INTERVAL_S)
        if not pressed or since < _TRIM_INTERVAL_S:
            return False
        self._trimmed_at[report.replica] = now
        return True
