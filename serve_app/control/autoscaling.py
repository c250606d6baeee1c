"""PageWaitPolicy: Serve's autoscaling policy of a pool. Carries out ``policy/autoscaling.py``.

It lives in Serve's controller and is called with every turn of its loop: no I/O, no waiting. Serve
pickles this module by value; it must import what it needs by name. Bounds and delays
(``min_replicas``, ``upscale_delay_s``, …) are applied by Serve to what it returns; a pool without
any worker that has a page waiting gets its first one without asking the policy.
"""

from __future__ import annotations

import logging
from typing import Any

from ray.serve.config import AutoscalingContext

from serve_app.policy.autoscaling import PoolDemand, WorkerLoad, desired_workers

log = logging.getLogger("ocr_serve.autoscaling")

# What a worker tells (``OCRService.record_autoscaling_stats``): the fields of WorkerLoad.
STATS = ("pages", "page_seconds", "engines", "level")


class PageWaitPolicy:
    """See the module's docstring; the arguments are ``policy_kwargs`` (settings explains)."""

    def __init__(self, *, target_wait_s: float, page_seconds: float, shares_device: bool) -> None:
        self._target_wait_s, self._page_seconds = target_wait_s, page_seconds
        self._shares_device = shares_device

    def __call__(self, ctx: AutoscalingContext) -> tuple[int, dict[str, Any]]:
        """The wanted number of workers, and what to remember for the next call."""
        remembered = ctx.policy_state.get("page_seconds", self._page_seconds)
        wanted = desired_workers(
            PoolDemand(
                workers=_workers(ctx),
                target=ctx.target_num_replicas,
                queued=_queued(ctx),
                page_seconds=remembered,
                shares_device=self._shares_device,
            ),
            self._target_wait_s,
        )
        was_held = ctx.policy_state.get("held", False)
        if wanted.held and not was_held:
            fields = {"deployment": ctx.deployment_name, "target": ctx.target_num_replicas}
            log.warning("no further worker: the memory is critical", extra=fields)
        return wanted.workers, {"page_seconds": wanted.page_seconds, "held": wanted.held}


def _workers(ctx: AutoscalingContext) -> list[WorkerLoad]:
    """The last values of each worker; Serve's own aggregate is a mean over its look-back period."""
    told = ctx.raw_metrics or {}
    loads = []
    for replica in ctx.running_replicas:
        series = [told.get(name, {}).get(replica) for name in STATS]
        if all(series):
            loads.append(WorkerLoad(*(float(points[-1].value) for points in series if points)))
    return loads


def _queued(ctx: AutoscalingContext) -> float:
    """Pages in the handles of gateways; those in workers are told by the workers."""
    return float(ctx.total_queued_requests or 0.0)
