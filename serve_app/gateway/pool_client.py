"""The gateway's view of the pools: a document fanned out page by page over Serve handles."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

import ray
from ray import serve
from ray.serve.handle import DeploymentHandle

from serve_app import clock
from serve_app.deploy_status import pool_status
from serve_app.document import (
    DocumentInfo,
    DocumentRequest,
    FailedPage,
    FileBytes,
    PageResult,
)
from serve_app.documents.reader import DocumentReader
from serve_app.errors import (
    DeadlineExceeded,
    EngineCrashed,
    EngineHung,
    EngineKilled,
    EngineProtocolError,
    FallBackAdvised,
    InvalidRequest,
    MemoryPressure,
    NoWorker,
    PageFailed,
    PageQuarantined,
    PageTooLargeForBudget,
    ReplicaUnavailable,
    UnknownModel,
)
from serve_app.formats.assembler import Assembler
from serve_app.formats.assembly import Plan
from serve_app.gateway.calls import answer_of, cancel
from serve_app.gateway.pool_choice import Choice, PoolChoice
from serve_app.gateway.pool_starter import PoolStarter
from serve_app.gateway.stored_file import stored
from serve_app.gateway.worker_outlook import WorkerOutlook
from serve_app.page_job import PageJob
from serve_app.page_load import page_load
from serve_app.policy.quarantine import PageKey, Quarantine
from serve_app.ports import AssembledDocument, ModelStatus, Readiness
from serve_app.recognised import recognised_by
from serve_app.settings import AppSettings, ModelSettings
from serve_app.task_ledger import TaskLedger
from serve_app.telemetry.tracing import stage

log = logging.getLogger("ocr_serve.gateway")

# What a worker needs to say "deadline exceeded" itself before the gateway stops listening.
ANSWER_GRACE_S = 2.0
STATUS_TIMEOUT_S = 5.0
# Well within the ten seconds between two of Ray's exports.
PUBLISH_S = 4.0
PAGE_ATTEMPTS = 2
# What concerns one page, while the others of its document may well be answered.
PAGE_ERRORS = (PageFailed, InvalidRequest, PageTooLargeForBudget)
# A worker gives these after the page has ended two engines.
ENDED_ENGINES = (EngineCrashed, EngineHung, EngineProtocolError)
_STATE_ORDER = ("READY", "LOADING", "UNLOADING", "FAILED", "UNLOADED")


@dataclasses.dataclass(frozen=True, slots=True)
class _SentDocument:
    """A request on its way to workers.

    Attributes:
        file: in the object store.
        sha256: of the file.
        deadline: of all its pages, on this process's clock.
    """

    request: DocumentRequest
    file: ray.ObjectRef[Any]
    sha256: str
    deadline: float


class PoolClient:
    """Implements ``ports.DocumentService`` on the pools' handles, in order of preference."""

    def __init__(
        self,
        settings: AppSettings,
        pools: Mapping[str, DeploymentHandle],
        registry: DeploymentHandle,
        ledger: TaskLedger,
    ) -> None:
        self._settings, self._pools, self._registry = settings, pools, registry
        self._ledger = ledger
        self._outlook = WorkerOutlook(settings.pools)
        self._choice = PoolChoice(settings.pools, registry, self._outlook.reason)
        self._starter = PoolStarter(
            lambda pool: answer_of(self._pools[pool].models.remote()),
            settings.gateway.request_timeout_s,
        )
        self._quarantine = Quarantine(**settings.quarantine.model_dump())
        self._refreshing: asyncio.Task[None] | None = None
        self._publishing: asyncio.Task[None] | None = None
        self._assembler = Assembler(
            settings.limits, settings.documents, max_children=settings.gateway.max_assemblies
        )
        self._reader = DocumentReader(settings.limits, settings.documents, settings.gateway)

    async def inspect(self, data: FileBytes) -> DocumentInfo:
        """See ``ports.DocumentService``."""
        with stage("inspect"):
            return await self._reader.inspect(data)

    async def predict_pages(
        self, request: DocumentRequest, pages: Iterable[int], *, deadline_s: float
    ) -> AsyncIterator[PageResult | FailedPage]:
        """See ``ports.DocumentService``."""
        if request.model not in self._settings.models:
            declared = ", ".join(self._settings.models)
            raise UnknownModel(f"no model {request.model!r}; declared: {declared}")
        self._start_refreshing()
        await self._outlook.first_answer()
        deadline = clock.now() + deadline_s
        window: deque[asyncio.Task[PageResult | FailedPage]] = deque()
        sha256 = await asyncio.to_thread(lambda: hashlib.sha256(request.data).hexdigest())
        file_of = stored(request.data)
        async with (
            self._choice.followed(),
            self._ledger.holding(request.ids.task, "object_ref", file_of) as file,
        ):
            document = _SentDocument(request, file, sha256, deadline)
            try:
                for index in pages:
                    if len(window) == self._settings.gateway.window_pages:
                        yield await window.popleft()
                    window.append(asyncio.create_task(self._page(document, index)))
                while window:
                    yield await window.popleft()
            finally:
                for task in window:
                    task.cancel()
                await asyncio.gather(*window, return_exceptions=True)

    def assemble(
        self, plan: Plan, data: FileBytes, *, deadline_s: float
    ) -> AbstractAsyncContextManager[AssembledDocument]:
        """See ``ports.DocumentService``."""
        return self._assembler.begin(plan, data, deadline_s=deadline_s)

    async def models(self) -> Sequence[ModelStatus]:
        """See ``ports.DocumentService``. Replicas that do not answer in time are left out."""
        replies = await asyncio.gather(*(self._ask_pool(pool) for pool in self._pools.values()))
        replicas = [reply for pool in replies for reply in pool]
        return [
            _merge(name, declared, replicas) for name, declared in self._settings.models.items()
        ]

    async def readiness(self) -> Readiness:
        """See ``ports.DocumentService``. Ready when any pool has a worker, or starts without."""
        await self._outlook.first_answer()
        status = await asyncio.to_thread(serve.status)
        pools: dict[str, Any] = {}
        for name, handle in self._pools.items():
            application = status.applications.get(handle.app_name)
            deployment = application and application.deployments.get(handle.deployment_name)
            reason = self._outlook.reason(name)
            pools[name] = pool_status(self._settings.pools[name], deployment, reason)
        return Readiness(any(pool["ready"] for pool in pools.values()), pools)

    async def close(self) -> None:
        """End the reader."""
        for task in (self._refreshing, self._publishing):
            if task is not None:
                task.cancel()
        await self._starter.close()
        await self._outlook.close()
        await self._reader.close()

    def _start_refreshing(self) -> None:
        """Not in the constructor: Serve builds the application before its loop runs."""
        if self._refreshing is None:
            loop = asyncio.get_running_loop()
            self._refreshing = loop.create_task(self._choice.refresh_forever())
            self._publishing = loop.create_task(self._publish_forever())

    async def _publish_forever(self) -> None:
        while True:
            self._ledger.publish()
            await asyncio.sleep(PUBLISH_S)

    async def _page(self, document: _SentDocument, index: int) -> PageResult | FailedPage:
        """One page; with ``partial`` its own failure is a value."""
        job = self._job(document.request, index)
        with stage("page", {"ocr.model": job.model, "ocr.page": job.index + 1}):
            try:
                return await self._unless_quarantined(document, job)
            except PAGE_ERRORS as error:
                if document.request.on_page_error == "fail":
                    raise
                return FailedPage(job.index, error)

    def _job(self, request: DocumentRequest, index: int) -> PageJob:
        page, declared = request.info.pages[index], self._settings.models[request.model]
        options = request.options
        return PageJob(
            request.model,
            request.info.kind,
            index,
            options,
            pixels=page.width * page.height,
            load=page_load(
                declared.pipeline,
                {**declared.options, **options.predict},
                request.info.kind,
                page,
                drawn=options.visualize,
                detection_side=options.detection_side,
            ),
            request_id=request.ids.request_id,
            priority=request.priority,
            owner=request.ids.task,
        )

    async def _unless_quarantined(self, document: _SentDocument, job: PageJob) -> PageResult:
        key = PageKey(document.sha256, job.index, job.model)
        if self._quarantine.cause(key, clock.now()):
            raise _quarantined(job)
        try:
            return await self._predict_page(document, job)
        except EngineKilled:
            raise  # not the page's fault
        except ENDED_ENGINES as error:
            self._quarantine.add(key, str(error), clock.now())
            fields = {"model": job.model, "page": job.index + 1, "request_id": job.request_id}
            fields["error"] = error.code
            log.warning("page quarantined", extra={**fields, "cause": str(error)})
            raise _quarantined(job) from None

    async def _predict_page(self, document: _SentDocument, job: PageJob) -> PageResult:
        """One page, where it goes best; once more if the worker died under it."""
        asked = clock.now()
        choice = await self._started(self._choice.choose(job.priority), document.deadline)
        for attempt in range(1, PAGE_ATTEMPTS + 1):
            try:
                return await self._call(choice, document, job, asked)
            except FallBackAdvised as advice:
                if choice.next is None:
                    raise MemoryPressure(str(advice)) from None
                return await self._call(choice.next, document, job, asked)
            except NoWorker:
                if choice.next is None:
                    raise
                return await self._call(choice.next, document, job, asked)
            except ReplicaUnavailable:
                if attempt == PAGE_ATTEMPTS:
                    raise
                if self._choice.workers(choice.pool) < 2:
                    # It was the only one there; the next one may be a node away.
                    choice = choice.next or choice
        raise AssertionError("unreachable: the last attempt returns or raises")

    async def _started(self, choice: Choice, deadline: float) -> Choice:
        """The same, or the fallback if the pool has no worker and none came in time.

        Without a fallback the page waits in the pool's own queue.
        """
        scaling = self._settings.pools[choice.pool].autoscaling
        if not choice.empty or choice.next is None or scaling is None:
            return choice
        wait_s = min(scaling.start_wait_s, deadline - clock.now())
        if await self._starter.started(choice.pool, wait_s):
            return choice
        return choice.next

    async def _call(
        self, choice: Choice, document: _SentDocument, job: PageJob, asked: float
    ) -> PageResult:
        now = clock.now()
        left_s = document.deadline - now
        job = dataclasses.replace(
            job, fallback=choice.fallback, fell_back=choice.fell_back, waited_s=now - asked
        )
        handle = self._pools[choice.pool].options(method_name="predict_page", _by_reference=True)
        response = handle.remote(document.file, job, left_s)
        ended = self._ledger.open(job.owner, "page_call")
        try:
            answer = self._outlook.unless_none_comes(
                choice.pool, lambda: self._choice.workers(choice.pool) > 0, answer_of(response)
            )
            result: PageResult = await asyncio.wait_for(answer, left_s + ANSWER_GRACE_S)
            return result
        except NoWorker:
            cancel(response)
            raise
        except asyncio.TimeoutError:
            cancel(response)
            raise DeadlineExceeded(f"page {job.index + 1} got no answer in time") from None
        except asyncio.CancelledError:
            cancel(response)
            raise
        finally:
            ended()

    async def _ask_pool(self, handle: DeploymentHandle) -> list[dict[str, Any]]:
        response = handle.broadcast("models")
        started = time.monotonic()
        try:
            return list(await asyncio.to_thread(response.results, timeout_s=STATUS_TIMEOUT_S))
        except Exception as error:
            # Facts for an operator: what cannot be asked is missing from the list, not an error.
            _log_silent_pool(handle, error, time.monotonic() - started)
            return []


def _quarantined(job: PageJob) -> PageQuarantined:
    return PageQuarantined(f"page {job.index + 1} has ended two engines")


def _log_silent_pool(handle: DeploymentHandle, error: Exception, waited_s: float) -> None:
    fields = {"deployment": handle.deployment_name, "error_type": type(error).__name__}
    log.warning("pool did not answer", extra={**fields, "waited_s": round(waited_s, 3)})


def _merge(
    name: str, declared: ModelSettings, replicas: Sequence[Mapping[str, Any]]
) -> ModelStatus:
    states: set[str] = set()
    engines: list[dict[str, Any]] = []
    error: str | None = None
    references = loads = 0
    for replica in replicas:
        model = replica["models"][name]
        states.add(model["state"])
        error = error or model["error"]
        references, loads = references + model["references"], loads + model["loads"]
        where = {"pool": replica["pool"], "replica_pid": replica["replica_pid"]}
        engines.extend({**where, **engine} for engine in model["engines"])
    state = next((s for s in _STATE_ORDER if s in states), "UNLOADED")
    return ModelStatus(
        name,
        declared.pipeline,
        state,
        tuple(engines),
        error,
        references,
        loads,
        **dataclasses.asdict(recognised_by(declared)),
    )
