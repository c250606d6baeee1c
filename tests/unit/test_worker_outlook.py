"""Pages of a pool whose worker can never be placed are told so, soon."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from serve_app.errors import NoWorker
from serve_app.gateway.worker_outlook import ClusterView, WorkerOutlook
from serve_app.policy.placement import Resources, Unplaced, no_worker_reason, worker
from serve_app.settings import PoolSettings

GIB = 2**30
POOL = PoolSettings(device="cpu", num_cpus=0.5, memory_bytes=4 * GIB, place_timeout_s=60)
NODE = Resources(2, 0, 2.8 * GIB)
LARGE = Resources(2, 0, 8 * GIB)


@pytest.mark.parametrize(
    ("nodes", "waits", "waited_s", "may_grow", "expected"),
    [
        ([NODE], False, 0, False, "4.0 GiB of memory, and 2.8 GiB are there"),
        ([], False, 0, False, "there is no node"),
        ([LARGE], False, 0, False, None),
        ([LARGE], True, 5, False, None),  # it may be placed in this moment
        ([LARGE], True, 11, False, "no node has had that much free"),
        ([NODE], True, 30, True, None),  # a larger node may come
        ([NODE], True, 61, True, "2.8 GiB are there"),
        ([NODE], False, 61, True, None),  # nobody asks
    ],
)
def test_when_no_worker_is_to_come(
    nodes: list[Resources], waits: bool, waited_s: float, may_grow: bool, expected: str | None
) -> None:
    reason = no_worker_reason("cpu", POOL, nodes, Unplaced(waits), waited_s, may_grow=may_grow)
    if expected is None:
        assert reason is None
    else:
        assert reason is not None
        assert expected in reason
        assert reason.startswith("pool cpu has no worker")


def test_what_waits_is_known_by_its_size() -> None:
    assert Unplaced.of(POOL, [Resources(1), worker(POOL)]).waits
    assert Unplaced.of(POOL, [Resources(0.5)]).waits, "a booking without memory"
    assert not Unplaced.of(POOL, [Resources(0.5, 0, 3 * GIB)]).waits


def test_a_reason_stands_until_something_is_new() -> None:
    """GIVEN pages that were turned away: none asks any more, and the next one is told at once."""
    one = WorkerOutlook({"cpu": POOL}, lambda: pytest.fail("not asked"))
    asks = ClusterView((NODE,), (worker(POOL),), may_grow=True)
    silent = ClusterView((NODE,), (), may_grow=True)
    one._judge(asks, 0.0)
    assert one.reason("cpu") is None
    one._judge(asks, 61.0)
    assert one.reason("cpu")
    one._judge(silent, 62.0)
    one._judge(silent, 120.0)
    assert one.reason("cpu")
    one._judge(silent, 122.0)
    assert one.reason("cpu") is None, "tried anew"
    one._judge(asks, 200.0)
    one._judge(asks, 261.0)
    assert one.reason("cpu")
    one._judge(ClusterView((NODE, LARGE), (), may_grow=True), 262.0)
    assert one.reason("cpu") is None, "a node has come"


def outlook(*views: ClusterView) -> WorkerOutlook:
    seen = iter(views)
    return WorkerOutlook({"cpu": POOL}, lambda: next(seen))


async def told(view: ClusterView) -> tuple[WorkerOutlook, str | None]:
    one = outlook(view)
    await one.first_answer()
    return one, one.reason("cpu")


async def never() -> None:
    await asyncio.Event().wait()


@pytest.mark.parametrize("has_workers", [True, False])
async def test_a_call_ends_when_none_will_come(
    has_workers: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serve_app.gateway.worker_outlook.LOOK_S", 0.0)
    one, reason = await told(ClusterView((NODE,), (), may_grow=False))
    assert reason
    call: Callable[[], bool] = lambda: has_workers  # noqa: E731
    waiting = asyncio.create_task(one.unless_none_comes("cpu", call, never()))
    if has_workers:
        for _ in range(5):
            await asyncio.sleep(0)
        assert not waiting.done()
        waiting.cancel()
    else:
        with pytest.raises(NoWorker, match="no worker") as caught:
            await waiting
        assert (caught.value.status, caught.value.code) == (503, "no_worker")
    await one.close()


async def test_an_answer_is_passed_on_and_a_silent_cluster_says_nothing() -> None:
    def silent() -> ClusterView:
        raise TimeoutError

    one = WorkerOutlook({"cpu": POOL}, silent)
    await one.first_answer()
    assert one.reason("cpu") is None

    async def answer() -> int:
        return 3

    assert await one.unless_none_comes("cpu", lambda: False, answer()) == 3
    await one.close()
