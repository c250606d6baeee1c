"""What the registry knows of the whole cluster, on the metrics endpoint."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from serve_app.policy.pool_views import PoolView
from serve_app.policy.registry_views import DomainView
from serve_app.telemetry import metrics

KINDS = ("gpu", "ram")


def show(
    domains: Iterable[DomainView], pools: Mapping[str, PoolView], names: Iterable[str]
) -> None:
    """Set every gauge of the cluster; ``names``: of all pools, those without a replica too."""
    sums: Counter[tuple[str, str]] = Counter()
    for domain in domains:
        sums[domain.kind, "total"] += domain.total_bytes
        sums[domain.kind, "used"] += domain.used_bytes
        sums[domain.kind, "ours"] += domain.ours_bytes
        sums[domain.kind, "others"] += domain.others_bytes
    for kind in KINDS:
        for share in ("total", "used", "ours", "others"):
            metrics.cluster_bytes.set(sums[kind, share], tags={"kind": kind, "share": share})
    for name in names:
        there = pools[name].replicas if name in pools else 0
        metrics.cluster_replicas.set(there, tags={"pool": name})
