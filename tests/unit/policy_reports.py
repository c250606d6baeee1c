"""Reports of replicas, for the tests of the registry's policies."""

from __future__ import annotations

from typing import Any

from serve_app.messages import (
    DeviceKind,
    DomainReading,
    EngineFacts,
    ModelFacts,
    ReplicaReport,
    TaskRecord,
)


def model(name: str, held_bytes: int = 100, **changes: Any) -> ModelFacts:
    """READY, with one engine, idle for 10 s."""
    state = changes.pop("state", "READY")
    engines = (EngineFacts(1, 4711, state, held_bytes, held_bytes, 3),) if held_bytes else ()
    values: dict[str, Any] = {
        "generation": 1,
        "references": 0,
        "waiting": 0,
        "idle_s": 10.0,
        "loads": 1,
        "engines": engines,
        **changes,
    }
    return ModelFacts(model=name, state=state, **values)


def unloaded(name: str, **changes: Any) -> ModelFacts:
    return model(name, 0, **{"state": "UNLOADED", "idle_s": None, **changes})


def reading(domain: str, used: int = 500, total: int = 1000, ours: int = 0) -> DomainReading:
    kind = "gpu" if domain.startswith("gpu") else "ram"
    return DomainReading(domain, "gpu" if kind == "gpu" else "ram", total, used, ours)


def report(
    replica: str,
    *models: ModelFacts,
    domains: tuple[DomainReading, ...] | None = None,
    device: DeviceKind = "cpu",
    **changes: Any,
) -> ReplicaReport:
    values: dict[str, Any] = {
        "pool": device,
        "node": "node",
        "pid": 1,
        "budget_bytes": 1000,
        "committed_bytes": 0,
        **changes,
    }
    found = (reading("ram:node"),) if domains is None else domains
    return ReplicaReport(replica=replica, device=device, domains=found, models=models, **values)


def record(task_id: str) -> TaskRecord:
    return TaskRecord(task_id, "r", "ocr", "cpu", "cpu", 1, 9, 9, 9, 0.0, 0.0, 1.0, "success")
