"""Gateway: the HTTP edge as a Serve ingress. A plain class; ``app.py`` decorates it."""

from __future__ import annotations

import asyncio
import logging
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ray.serve._private.constants import RAY_SERVE_ENABLE_HA_PROXY
from ray.serve.context import _get_global_client
from ray.serve.handle import DeploymentHandle

from serve_app.api.app import build_http_app
from serve_app.api.context import RequestContext
from serve_app.api.gate import RequestGate
from serve_app.api.keyless import Listening
from serve_app.api.request_task import RequestTasks
from serve_app.api.spool import Spools
from serve_app.api.webhooks import webhooks_of
from serve_app.devices.heap import hand_back_freed_memory
from serve_app.gateway.operator_client import OperatorClient
from serve_app.gateway.pool_client import PoolClient
from serve_app.gateway.request_log import RequestLog
from serve_app.jobs.records import Totals
from serve_app.jobs.service import Jobs
from serve_app.jobs.stores import stores_of
from serve_app.messages import TaskRecord
from serve_app.policy.job import Job
from serve_app.settings import AppSettings
from serve_app.task_ledger import TaskLedger
from serve_app.telemetry import metrics
from serve_app.telemetry.logs import configure_logging
from serve_app.temp_folders import sweep

log = logging.getLogger("ocr_serve.gateway")

ASK_TIMEOUT_S = 10.0


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
        metrics.keys_unreadable.set(0.0)
        ledger = TaskLedger(metrics.ledger_gauge("gateway"))
        self._request_log = RequestLog(registry)
        self._gate = RequestGate(settings.gateway.max_ongoing_requests)
        self._tasks = RequestTasks(Spools(settings), ledger, self._task_ended)
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
            listening=_listening(),
            on_end=_request_ended,
            on_keys_look=metrics.keys_unreadable.set,
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
        store, files = stores_of(self._settings.jobs, os.environ)
        webhooks = webhooks_of(self._settings, store, os.environ)
        return Jobs(
            self._service, store, files, self._settings, ledger, _job_ended, webhooks, _jobs_counted
        )

    async def __del__(self) -> None:
        await self._request_log.close()
        await self._service.close()

    def _task_ended(self, record: TaskRecord, seconds: float) -> None:
        labels = {"model": record.model, "outcome": record.outcome}
        metrics.requests.inc(tags={**labels, "pool": record.pool})
        metrics.request_seconds.observe(seconds, tags=labels)
        self._request_log.add(record)


def _listening() -> Listening:
    """Where Serve listens; if that cannot be found out, nobody is taken to be on this machine."""
    with ThreadPoolExecutor(1) as elsewhere:  # asking Serve blocks, which a loop of Ray's may not
        try:
            host = elsewhere.submit(_serve_host).result(ASK_TIMEOUT_S)
        except Exception as error:
            log.warning("listen address not known", extra={"error": type(error).__name__})
            return Listening(None, sees_peers=False)
    # HAProxy passes requests on from its own address, and names nobody else.
    return Listening(host, sees_peers=not RAY_SERVE_ENABLE_HA_PROXY)


def _serve_host() -> str | None:
    """Of ``http_options``. There is no public way to ask for it; a test asks for both answers."""
    host: str | None = _get_global_client().http_config.host
    return host


def _job_ended(job: Job) -> None:
    metrics.jobs.inc(tags={"model": job.model, "state": job.state})


def _jobs_counted(totals: Totals) -> None:
    metrics.stored_jobs.set(totals.queued, tags={"state": "queued"})
    metrics.stored_jobs.set(totals.running, tags={"state": "running"})
    metrics.stored_job_bytes.set(totals.stored_bytes)


def _request_ended(context: RequestContext) -> None:
    if context.error_code is not None:
        metrics.request_errors.inc(tags={"code": context.error_code})
