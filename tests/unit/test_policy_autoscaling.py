"""How many workers a pool is given."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from serve_app.messages import LEVELS
from serve_app.policy.autoscaling import PoolDemand, WorkerLoad, desired_workers

NORMAL, CRITICAL = LEVELS.index("normal"), LEVELS.index("critical")

workers = st.builds(
    WorkerLoad,
    pages=st.integers(0, 500),
    page_seconds=st.sampled_from([0.0, 0.05, 1.0, 7.5]),
    engines=st.integers(0, 4),
    level=st.integers(0, len(LEVELS) - 1),
)
demands = st.builds(
    PoolDemand,
    workers=st.lists(workers, max_size=6),
    target=st.integers(0, 8),
    queued=st.integers(0, 500),
    page_seconds=st.sampled_from([0.1, 3.0]),
    shares_device=st.booleans(),
)


def test_workers_are_added_until_the_last_page_waits_no_longer_than_wanted() -> None:
    """100 pages of 3 s are 300 s of work: ten workers for a wait of 30 s."""
    busy = WorkerLoad(pages=60, page_seconds=3.0, engines=1, level=NORMAL)
    demand = PoolDemand([busy], target=1, queued=40, page_seconds=1.0)
    assert desired_workers(demand, 30).workers == 10
    assert desired_workers(demand, 300).workers == 1


def test_without_a_measurement_the_remembered_time_counts() -> None:
    demand = PoolDemand([], target=0, queued=10, page_seconds=6.0)
    wanted = desired_workers(demand, 30)
    assert (wanted.workers, wanted.page_seconds) == (2, 6.0)


def test_the_last_worker_stays_for_as_long_as_a_model_is_loaded() -> None:
    holding = WorkerLoad(pages=0, page_seconds=0, engines=1, level=NORMAL)
    empty = WorkerLoad(pages=0, page_seconds=0, engines=0, level=NORMAL)
    assert desired_workers(PoolDemand([holding] * 3, 3, 0, 1.0), 30).workers == 1
    assert desired_workers(PoolDemand([empty] * 3, 3, 0, 1.0), 30).workers == 0


def test_no_further_worker_comes_to_a_critical_device() -> None:
    pressed = WorkerLoad(pages=100, page_seconds=3.0, engines=1, level=CRITICAL)
    shared = desired_workers(PoolDemand([pressed], 2, 0, 1.0), 30)
    assert (shared.workers, shared.held) == (2, True)
    own_device = desired_workers(PoolDemand([pressed], 2, 0, 1.0, shares_device=False), 30)
    assert (own_device.workers, own_device.held) == (10, False)


def test_a_critical_device_does_not_keep_workers_that_are_not_needed() -> None:
    pressed = WorkerLoad(pages=1, page_seconds=3.0, engines=1, level=CRITICAL)
    assert desired_workers(PoolDemand([pressed], 4, 0, 1.0), 30).workers == 1


@given(demands, st.sampled_from([0.5, 10.0, 60.0]))
def test_pages_always_have_a_worker_and_critical_memory_gets_none(
    demand: PoolDemand, target_wait_s: float
) -> None:
    wanted = desired_workers(demand, target_wait_s)
    pages = demand.queued + sum(worker.pages for worker in demand.workers)
    critical = any(worker.level >= CRITICAL for worker in demand.workers)
    if critical and demand.shares_device:
        assert wanted.workers <= max(demand.target, 0) or not wanted.held
        assert wanted.workers <= demand.target or wanted.workers == 0
    elif pages:
        assert wanted.workers >= 1
        assert pages * wanted.page_seconds / wanted.workers <= target_wait_s + 1e-9
    assert wanted.workers >= 0


@given(demands, st.sampled_from([0.5, 10.0]))
def test_more_pages_never_want_fewer_workers(demand: PoolDemand, target_wait_s: float) -> None:
    more = PoolDemand(
        demand.workers, demand.target, demand.queued + 7, demand.page_seconds, demand.shares_device
    )
    fewer = desired_workers(demand, target_wait_s).workers
    assert desired_workers(more, target_wait_s).workers >= min(fewer, demand.target)
