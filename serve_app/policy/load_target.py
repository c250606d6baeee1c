"""Which replica an ordered load goes to. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from serve_app.messages import Level, ReplicaReport
from serve_app.policy.registry_orders import model_in
from serve_app.policy.registry_views import device_domain


def target_of_load(
    reports: Iterable[ReplicaReport], levels: Mapping[str, Level], model: str, pool: str | None
) -> str | None:
    """The id of a replica (of ``pool``) that has the model, or else the most room for it.

    None: none declares it, or none is on a device whose level is normal.
    """
    best: tuple[tuple[bool, int], str] | None = None
    for report in reports:
        facts, domain = model_in(report, model), device_domain(report)
        if facts is None or (pool is not None and report.pool != pool):
            continue
        ready = facts.state == "READY"
        if not ready and levels.get(domain or "", "normal") != "normal":
            continue
        rank = ((ready, report.budget_bytes - report.committed_bytes), report.replica)
        best = max(best, rank) if best else rank
    return best[1] if best else None
