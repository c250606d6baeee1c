"""Gateway: the HTTP edge as a Serve ingress. A plain class; ``app.py`` decorates it."""

from __future__ import annotations

import asyncio
import logging
import os
from typing import Any

from ray.serve.handle import DeploymentHandle

from serve_app.api.app import build_http_app
from serve_app.api.context import RequestContext
from serve_app.api.gate import RequestGate
from serve_app.api.request_task import RequestTasks
from serve_app.deployments.operator_client import OperatorClient
from serve_app.deployments.pool_client import PoolClient
from serve_app.deployments.request_log import RequestLog
from serve_app.devices.heap import hand_back_freed_memory
from serve_app.facts import TaskRecord
from serve_app.jobs.folder import jobs_folder, stores
from serve_app.jobs.service import Jobs
from serve_app.policy.job import Job
from serve_app.settings import AppSettings
from serve_app.task_ledger import TaskLedger
from serve_app.telemetry import metrics
from serve_app.telemetry.logs import configure_logging
from serve_app.temp_folders import sweep

log = logging.getLogger("ocr_serve.gateway")


class Gateway:
    """Answers HTTP. Holds no model and decodes no picture."""

    def __init__(
        self,
        settings: AppSettings,
        pools: dict[str, DeploymentHandle],
        registry: DeploymentHandle,
    ) -> None:
        configure_logging(settings.log_level)
        hand_back_freed_memory()
        sweep()
        self._settings = settings
        ledger = TaskLedger(metrics.ledger_gauge("gateway"))
        self._request_log = RequestLog(registry)
        self._gate = RequestGate(settings.gateway.max_ongoing_requests)
        self._tasks = RequestTasks(ledger, self._task_ended)
        self._service = PoolClient(settings, pools, registry, ledger)
        self._operator = OperatorClient(settings, registry)
        self._jobs = self._make_jobs(ledger) if settings.jobs.enabled else None

    def __serve_build_asgi_app__(self) -> Any:
        """Called by Serve on the replica, after the constructor."""
        # Serve's proxy adds x-request-id to every answer itself.
        return build_http_app(
            self._service,
            self._settings,
            operator=self._operator,
            tasks=self._tasks,
            request_id_header=False,
            gate=self._gate,
            on_end=_request_ended,
            jobs=self._jobs,
        )

    async def drain(self, timeout_s: float) -> int:
        """Take no more documents and finish those under way; how many had to be ended."""
        log.info("draining", extra={"timeout_s": timeout_s})
        # Jobs go on where they are, here or in another gateway: only their pages are waited for.
        pages = self._jobs.finish(timeout_s) if self._jobs else asyncio.sleep(0)
        ended, _ = await asyncio.gather(self._gate.finish(timeout_s), pages)
        log.info("drained", extra={"ended": ended})
        return ended

    def _make_jobs(self, ledger: TaskLedger) -> Jobs:
        folder = jobs_folder(self._settings.jobs, os.environ)
        log.info("jobs are kept in a folder", extra={"folder": str(folder)})
        return Jobs(self._service, *stores(folder), self._settings, ledger, _job_ended)

    async def __del__(self) -> None:
        await self._request_log.close()
        await self._service.close()

    def _task_ended(self, record: TaskRecord, seconds: float) -> None:
        labels = {"model": record.model, "outcome": record.outcome}
        metrics.requests.inc(tags={**labels, "pool": record.pool})
        metrics.request_seconds.observe(seconds, tags=labels)
        self._request_log.add(record)


def _job_ended(job: Job) -> None:
    metrics.jobs.inc(tags={"model": job.model, "state": job.state})


def _request_ended(context: RequestContext) -> None:
    if context.error_code is not None:
        metrics.request_errors.inc(tags={"code": context.error_code})
