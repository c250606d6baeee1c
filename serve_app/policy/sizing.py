"""What fits into the memory and CPUs of a machine: facts in, plan out. Pure.

Memory that engines may have on one node:

    the limit x pressure.critical     above it new work is refused
    - what others use of it already
    - what is kept: Ray, the registry, gateways, workers, files under way, a page being rendered
      beside each engine
    = left for engines, and never more than Ray's own resource `memory` has

Of what is left the pools with a number have theirs, the others share the rest. A worker is given no
more than all of its engines could use. Engines of a model: one per CPU, as many as fit with a
scanned page each. The settings' ``auto`` is replaced by what the plan says (``Plan.settings``).

Measured (MiB; Ray 2.60, Python 3.11, `ocr-serve run configs/local.yaml`, the sum of RssAnon and
RssShmem of each process after 20 pages; the control group's own counter says the same within 1 %):

    GCS 30, raylet 14, monitor 48, dashboard's head without a dashboard 71, log monitor 45, agents
    81 + 46, Serve's controller 116, proxy 113, `ocr-serve run` 130                    694
    registry                                                                           139
    gateway 146, the host of its readers 29                                            175
    worker 142, the host of its renderers 36                                           178
    a fork that decodes a scan of A4 at 300 dpi                                         56
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass

from serve_app.document import FileKind, PageInfo
from serve_app.page_load import page_load
from serve_app.policy.model_estimators import ModelEstimators
from serve_app.settings import AUTO, LEAST_PARSER_BYTES, AppSettings, PoolSettings

MIB = 2**20

# See the module's docstring; rounded up.
RAY_BYTES = 720 * MIB
DASHBOARD_BYTES = 215 * MIB  # of its ten processes, where it is asked for
REGISTRY_BYTES = 140 * MIB
GATEWAY_BYTES = 180 * MIB
WORKER_BYTES = 180 * MIB
RENDERING_BYTES = 64 * MIB

# Files under way: bodies in a gateway, and their copies in the object store. Each has a share of
# the memory: at least one body of the largest size and a half, at most what was fixed before.
FILES_SHARE = 1 / 32
MOST_BODY_BYTES = 2**30
# What a hostile page, or the largest answer, may take of a process of its own: never much of the
# machine. Honest ones take a fraction of it.
PARSER_SHARE, MOST_PARSER_BYTES = 1 / 16, 2**30
LEAST_STORE_BYTES, MOST_STORE_BYTES = 96 * MIB, 2 * 2**30

# Pools on GPUs book RAM for the engines' CPU side; nobody has measured it on many machines.
GPU_WORKER_BYTES = 4 * 2**30
# Where the search for enough memory ends: a budget given as a number may be too small anywhere.
MOST_MEMORY_BYTES = 64 * 2**30
# A worker's event loop feeds so many engines without being what they wait for.
ENGINES_PER_WORKER = 16


@dataclass(frozen=True, slots=True)
class PageSize:
    """A page by which sizes are told."""

    name: str
    kind: FileKind
    width: int
    height: int


A4_DIGITAL = PageSize("A4 144 dpi", "pdf", 1190, 1684)
A4_SCAN = PageSize("A4 300 dpi", "jpeg", 2480, 3508)
A3_SCAN = PageSize("A3 300 dpi", "jpeg", 3508, 4960)
PAGE_SIZES = (A4_DIGITAL, A4_SCAN, A3_SCAN)


@dataclass(frozen=True, slots=True)
class Machine:
    """One node, as the operating system tells it.

    Attributes:
        memory_bytes: of the tightest limit; ``memory_source`` names that in a few words.
        in_use_bytes: of it, by others, before anything of ours runs. Counts for what is ``auto``.
        cpus: that may be used, in fractions where a quota says so.
        shm_bytes: free in /dev/shm.
        ray_bytes: Ray's resource `memory` of the node; None before Ray runs.
    """

    memory_bytes: int
    memory_source: str
    in_use_bytes: int
    cpus: float
    gpus: float = 0.0
    shm_bytes: int = 2**60
    ray_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Kept:
    """Bytes that no engine gets, and what they are for."""

    what: str
    bytes_: int


@dataclass(frozen=True, slots=True)
class ModelFit:
    """Of one model in one pool: engines at once, and an engine's need by page size, in bytes."""

    pool: str
    model: str
    engines: int
    needs: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Plan:
    """What the machine is used for.

    Attributes:
        left_bytes: for the workers of all pools.
        settings: without any ``auto``.
        num_cpus: what Ray is told to have.
        store_bytes: of Ray's object store.
        store_is_slow: whether the store is on a disk, because /dev/shm is too small for it.
        missing: why nothing can be served; None if something can.
    """

    machine: Machine
    kept: tuple[Kept, ...]
    left_bytes: int
    settings: AppSettings
    fits: tuple[ModelFit, ...]
    num_cpus: int
    store_bytes: int
    store_is_slow: bool
    missing: str | None


def has_auto(settings: AppSettings) -> bool:
    """Whether anything is left to be sized by the machine."""
    return AUTO in (
        settings.gateway.max_body_bytes_total,
        settings.documents.render_memory_bytes,
        settings.documents.assembly_memory_bytes,
        *(model.max_concurrent_predictions for model in settings.models.values()),
        *(pool.memory_bytes for pool in settings.pools.values()),
        *(pool.num_replicas for pool in settings.pools.values()),
    )


def plan(settings: AppSettings, machine: Machine, *, dashboard: bool = False) -> Plan:
    """Size everything that says ``auto``, and say what fits."""
    if not has_auto(settings):  # what somebody has decided on is not for today's neighbours
        machine = dataclasses.replace(machine, in_use_bytes=0)
    made = _sized(settings, machine, dashboard=dashboard)
    if _serves(made):
        return made
    return dataclasses.replace(made, missing=_missing(settings, made, dashboard=dashboard))


def _sized(settings: AppSettings, machine: Machine, *, dashboard: bool) -> Plan:
    store_bytes = _store_bytes(machine)
    engines = _engines(settings, machine)
    settings = _with_files(_with_workers(settings, engines), machine)
    kept = _kept(settings, machine, store_bytes, dashboard=dashboard)
    left = max(machine.memory_bytes - sum(one.bytes_ for one in kept), 0)
    rendering = Kept("pages being rendered", _rendering_bytes(settings, machine, left))
    kept, left = (*kept, rendering), max(left - rendering.bytes_, 0)
    if machine.ray_bytes is not None:
        left = min(left, machine.ray_bytes)
    settings = _with_engines(_with_memory(settings, left, engines), engines)
    return Plan(
        machine,
        kept,
        left,
        settings,
        tuple(_fits(settings)),
        num_cpus=max(1, math.ceil(machine.cpus)),
        store_bytes=store_bytes,
        store_is_slow=store_bytes > machine.shm_bytes,
        missing=None,
    )


def need_bytes(settings: AppSettings, model: str, page: PageSize) -> int:
    """What an engine is estimated to need for a page before anything was measured."""
    declared = settings.models[model]
    info = PageInfo(0, page.width, page.height)
    side = declared.detection_side
    load = page_load(declared.pipeline, declared.options, page.kind, info, detection_side=side)
    return ModelEstimators({model: declared.memory}).estimate(model, load)


def workers_of(pool: PoolSettings) -> int:
    """How many are planned for: all, where each is sized by what there is; else the fewest."""
    scaling = pool.autoscaling
    if scaling is None:
        return pool.num_replicas
    return scaling.max_replicas if pool.memory_bytes == AUTO else max(scaling.min_replicas, 1)


def _store_bytes(machine: Machine) -> int:
    share = int(machine.memory_bytes * FILES_SHARE)
    store = min(max(share, LEAST_STORE_BYTES), MOST_STORE_BYTES)
    # A smaller store in memory is better than a larger one on a disk.
    return min(store, max(int(machine.shm_bytes * 0.95), LEAST_STORE_BYTES))


def _engines(settings: AppSettings, machine: Machine) -> int:
    """The most that compute at once: one per CPU, as far as the whole memory goes.

    A container that has a limit of memory and all CPUs of a large machine is a small one.
    """
    each = min(need_bytes(settings, model, A4_SCAN) for model in settings.models)
    return max(1, min(math.floor(machine.cpus), machine.memory_bytes // each))


def _rendering_bytes(settings: AppSettings, machine: Machine, left: int) -> int:
    """A page beside each engine that there is room for."""
    each = min(need_bytes(settings, model, A4_SCAN) for model in settings.models)
    room = left / (each + RENDERING_BYTES)
    return int(max(1, min(math.floor(machine.cpus), room)) * RENDERING_BYTES)


def _with_workers(settings: AppSettings, engines: int) -> AppSettings:
    pools = {
        name: pool
        if pool.num_replicas != AUTO
        else pool.model_copy(update={"num_replicas": math.ceil(engines / ENGINES_PER_WORKER)})
        for name, pool in settings.pools.items()
    }
    return settings.model_copy(update={"pools": pools})


def _with_files(settings: AppSettings, machine: Machine) -> AppSettings:
    parser = int(machine.memory_bytes * PARSER_SHARE)
    parser = max(min(parser, MOST_PARSER_BYTES), LEAST_PARSER_BYTES)
    documents = settings.documents
    sized = {
        "render_memory_bytes": documents.render_memory_bytes or parser,
        "assembly_memory_bytes": documents.assembly_memory_bytes or parser,
    }
    documents = documents.model_copy(update=sized)
    settings = settings.model_copy(update={"documents": documents})
    gateway = settings.gateway
    if gateway.max_body_bytes_total != AUTO:
        return settings
    share = int(machine.memory_bytes * FILES_SHARE)
    least = settings.limits.max_request_bytes * 3 // 2
    size = max(min(share, MOST_BODY_BYTES), least)
    gateway = gateway.model_copy(update={"max_body_bytes_total": size})
    return settings.model_copy(update={"gateway": gateway})


def _kept(
    settings: AppSettings, machine: Machine, store_bytes: int, *, dashboard: bool
) -> tuple[Kept, ...]:
    gateways = settings.gateway.num_replicas
    workers = sum(map(workers_of, settings.pools.values()))
    critical = settings.pressure.critical
    # A gateway's bodies are seldom many: what was fixed by hand is not kept in whole.
    bodies = min(settings.gateway.max_body_bytes_total, int(machine.memory_bytes * FILES_SHARE))
    ray = RAY_BYTES + REGISTRY_BYTES
    return (
        Kept("in use by others", machine.in_use_bytes),
        Kept(f"above pressure.critical ({critical:g})", int(machine.memory_bytes * (1 - critical))),
        Kept("Ray, Serve, registry", ray + (DASHBOARD_BYTES if dashboard else 0)),
        Kept(_times("gateway", gateways), gateways * GATEWAY_BYTES),
        Kept(_times("worker", workers), workers * WORKER_BYTES),
        Kept("files in gateways", gateways * bodies),
        Kept("files in Ray's object store", store_bytes),
    )


def _with_memory(settings: AppSettings, left: int, cores: int) -> AppSettings:
    pools = dict(settings.pools)
    for name, pool in pools.items():
        if pool.memory_bytes == AUTO and pool.device == "gpu":
            pools[name] = pool.model_copy(update={"memory_bytes": GPU_WORKER_BYTES})
    open_ = [name for name, pool in pools.items() if pool.memory_bytes == AUTO]
    rest = left - sum(workers_of(p) * p.memory_bytes for p in pools.values())  # AUTO is 0
    for name in open_:
        workers = workers_of(pools[name])
        share = max(rest, 0) // len(open_) // workers
        size = max(min(share, _useful_bytes(settings, cores, workers)), 1)
        pools[name] = pools[name].model_copy(update={"memory_bytes": size})
    return settings.model_copy(update={"pools": pools})


def _useful_bytes(settings: AppSettings, cores: int, workers: int) -> int:
    """What all engines of a worker hold when each has the largest page."""
    engines = math.ceil(cores / workers)
    return sum(
        (model.max_concurrent_predictions or engines) * need_bytes(settings, name, A3_SCAN) * 5 // 4
        for name, model in settings.models.items()
    )


def _with_engines(settings: AppSettings, cores: int) -> AppSettings:
    """As many as there are CPUs, and as fit into the smallest worker, each with a scan."""
    pools = [pool for pool in settings.pools.values() if pool.device == "cpu"]
    models = dict(settings.models)
    for name, model in models.items():
        if model.max_concurrent_predictions != AUTO:
            continue
        engines = [1]
        if pools:
            budget = min(pool.memory_bytes for pool in pools)
            workers = max(pool.num_replicas for pool in pools)
            fit = budget // need_bytes(settings, name, A4_SCAN)
            engines = [max(1, min(math.ceil(cores / workers), fit))]
        models[name] = model.model_copy(update={"max_concurrent_predictions": min(engines)})
    return settings.model_copy(update={"models": models})


def _fits(settings: AppSettings) -> list[ModelFit]:
    return [
        ModelFit(
            pool,
            model,
            settings.models[model].max_concurrent_predictions,
            {page.name: need_bytes(settings, model, page) for page in PAGE_SIZES},
        )
        for pool, declared in settings.pools.items()
        if declared.device == "cpu"
        for model in settings.models
    ]


def _serves(made: Plan) -> bool:
    """Whether some worker can hold an engine and an ordinary page. GPUs: their budget is no RAM."""
    pools = made.settings.pools
    if any(pool.device == "gpu" for pool in pools.values()):
        return True
    fits = made.fits
    return any(one.needs[A4_DIGITAL.name] <= pools[one.pool].memory_bytes for one in fits)


def _missing(settings: AppSettings, made: Plan, *, dashboard: bool) -> str:
    """The sentence that says what is there, what is needed, and what would do."""
    machine, step = made.machine, 2**30 // 10
    enough = dataclasses.replace(machine, ray_bytes=None)
    while not _serves(_sized(settings, enough, dashboard=dashboard)):
        more = (enough.memory_bytes // step + 1) * step
        if more > MOST_MEMORY_BYTES:
            break
        enough = dataclasses.replace(enough, memory_bytes=more)
    model, need = min(
        ((one.model, one.needs[A4_DIGITAL.name]) for one in made.fits), key=lambda pair: pair[1]
    )
    would_do = math.ceil(enough.memory_bytes / 2**30 * 10) / 10
    return (
        f"{as_gib(machine.memory_bytes)} of memory ({machine.memory_source}) are too few: "
        f"{as_gib(made.left_bytes)} are left for engines, and one of {model!r} needs "
        f"{as_gib(need)} for a page of {A4_DIGITAL.name}; {would_do:.1f} GiB in all would do"
    )


def _times(what: str, count: int) -> str:
    return what if count == 1 else f"{count} {what}s"


def as_gib(size: float) -> str:
    """``1.9 GiB``."""
    return f"{size / 2**30:.1f} GiB"
