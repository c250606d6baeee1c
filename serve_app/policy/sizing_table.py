"""A plan as a table for people. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from serve_app.policy.placement import Resources, without_gpu
from serve_app.policy.sizing import MIB, PAGE_SIZES, Plan, workers_of

WIDTH = 34


def table(plan: Plan) -> list[str]:
    """What is there, what is kept for what, and what fits; a line each."""
    return [*_memory(plan), *_workers(plan), *_models(plan)]


def summary(plan: Plan) -> list[str]:
    """What fits, without the sum."""
    machine = plan.machine
    total, left = machine.memory_bytes // MIB, plan.left_bytes // MIB
    memory = f"memory: {total} MiB ({machine.memory_source}), for engines {left} MiB"
    return [memory, *_pools(plan), *_models(plan)]


def warnings(plan: Plan) -> list[str]:
    """What works, but not as well as it could."""
    there = Resources(plan.num_cpus, plan.machine.gpus, plan.left_bytes)
    empty = without_gpu(plan.settings, there)
    found = [
        f"no GPU is here: pool {name} gets no worker, and its pages go to another pool"
        for name in empty
    ]
    if not plan.store_is_slow:
        return found
    free, needed = plan.machine.shm_bytes // MIB, plan.store_bytes // MIB
    return [
        *found,
        f"the shared memory has {free} MiB free, and Ray's object store needs {needed}: it is on "
        "the disk, and slower (docker run --shm-size 1g)",
    ]


def _memory(plan: Plan) -> Iterator[str]:
    machine = plan.machine
    yield _line(f"memory ({machine.memory_source})", machine.memory_bytes)
    for kept in plan.kept:
        if kept.bytes_:
            yield _line(f"- {kept.what}", kept.bytes_)
    yield _line("= for engines", plan.left_bytes)


def _workers(plan: Plan) -> Iterator[str]:
    yield (
        f"{'CPUs, GPUs':{WIDTH}} {plan.machine.cpus:g}, {plan.machine.gpus:g}; "
        f"Ray is told {plan.num_cpus} CPUs"
    )
    yield from _pools(plan)


def _pools(plan: Plan) -> Iterator[str]:
    for name, pool in plan.settings.pools.items():
        engines = "budget" if pool.device == "cpu" else "of RAM"
        count = workers_of(pool)
        workers = "1 worker" if count == 1 else f"{count} workers"
        yield f"{'pool ' + name:{WIDTH}} {workers}, {engines} {pool.memory_bytes // MIB} MiB each"


def _models(plan: Plan) -> Iterator[str]:
    """Needs of one engine; before anything was measured they are estimates on the safe side."""
    if not plan.fits:
        return
    names = "".join(f"{page.name:>16}" for page in PAGE_SIZES)
    yield f"{'one engine, page of (MiB)':{WIDTH}}{'engines':>8}{names}"
    for fit in plan.fits:
        budget = plan.settings.pools[fit.pool].memory_bytes
        cells = "".join(
            f"{need // MIB:>9} {'fits' if need <= budget else 'no':<6}"
            for need in fit.needs.values()
        )
        yield f"{fit.pool + ': ' + fit.model:{WIDTH}}{fit.engines:>8}{cells}".rstrip()


def _line(what: str, size: int) -> str:
    return f"{what:{WIDTH}} {size // MIB:>7} MiB"
