"""What the registry tells of the last hour: behind GET /v1/memory/history."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from serve_app.messages import ReplicaReport
from serve_app.policy.memory_history import WINDOW_S, MemoryHistory
from serve_app.policy.pool_views import PoolView
from serve_app.policy.registry_views import DomainView, ModelView
from serve_app.settings import PressureSettings


def history_answer(
    history: MemoryHistory,
    domains: Iterable[DomainView],
    models: Iterable[ModelView],
    pools: Mapping[str, PoolView],
    reports: Iterable[ReplicaReport],
    pressure: PressureSettings,
    *,
    since: float,
    at: float,
) -> dict[str, Any]:
    """Samples after ``since``, and what goes with them now (``at``, seconds since the epoch).

    ``now`` is what GET /v1/memory tells, so that who watches asks once.
    """
    running: dict[str, int] = {}
    for report in reports:
        running[report.pool] = running.get(report.pool, 0) + report.running
    found = list(models)
    return {
        "at": round(at, 1),
        "interval_s": history.interval_s,
        "window_s": WINDOW_S,
        "thresholds": {
            "warning": pressure.warning,
            "critical": pressure.critical,
            "emergency": pressure.emergency,
        },
        "domains": history.since(since),
        "now": [dataclasses.asdict(domain) for domain in domains],
        "models": [_model(view) for view in found],
        "pools": {
            name: {**dataclasses.asdict(view), "running": running.get(name, 0)}
            for name, view in pools.items()
        },
        "endings": _endings(found, at),
    }


def _model(view: ModelView) -> dict[str, Any]:
    shown = {name: getattr(view, name) for name in _SHOWN}
    shown["copies"] = [
        {
            "replica": copy.replica,
            "pool": copy.pool,
            "state": copy.facts.state,
            "references": copy.facts.references,
            "waiting": copy.facts.waiting,
            "idle_s": copy.facts.idle_s,
        }
        for copy in view.copies
    ]
    return shown


_SHOWN = ("model", "state", "pinned", "idle_timeout_s", "references", "waiting", "memory_bytes")


def _endings(models: Iterable[ModelView], at: float) -> list[dict[str, Any]]:
    """Newest first."""
    found = [
        {
            "at": round(at - copy.age_s - ending.ago_s, 1),
            "model": view.model,
            "pool": copy.pool,
            "replica": copy.replica,
            "reason": ending.reason,
            "held_bytes": ending.held_bytes,
            "freed_bytes": ending.freed_bytes,
        }
        for view in models
        for copy in view.copies
        for ending in copy.facts.endings
    ]
    return sorted(found, key=lambda one: -one["at"])
