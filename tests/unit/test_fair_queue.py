"""Whose turn it is."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve_app.errors import DeadlineExceeded
from serve_app.policy.fair_queue import FairQueue
from serve_app.worker.page_slots import PageSlots


def drain(queue: FairQueue) -> list[str]:
    order = []
    while (ticket := queue.pop()) is not None:
        order.append(ticket)
    return order


def test_requests_take_turns() -> None:
    queue = FairQueue()
    for page in ("a1", "a2", "a3", "b1", "c1", "c2"):
        queue.push(page, owner=page[0])
    assert drain(queue) == ["a1", "b1", "c1", "a2", "c2", "a3"]


def test_interactive_goes_before_batch() -> None:
    queue = FairQueue()
    queue.push("night", "x", "batch")
    queue.push("now", "y", "interactive")
    assert drain(queue) == ["now", "night"]


def test_a_ticket_waits_only_once() -> None:
    queue = FairQueue()
    queue.push("a", "x")
    with pytest.raises(ValueError, match="waits already"):
        queue.push("a", "x")


@given(st.lists(st.tuples(st.integers(0, 3), st.booleans(), st.booleans()), max_size=40))
def test_every_ticket_comes_out_once_unless_it_was_taken_out(
    pushes: list[tuple[int, bool, bool]],
) -> None:
    queue = FairQueue()
    for number, (owner, batch, _) in enumerate(pushes):
        queue.push(str(number), str(owner), "batch" if batch else "interactive")
    kept = {str(n) for n, (_, _, removed) in enumerate(pushes) if not removed}
    for number, (_, _, removed) in enumerate(pushes):
        if removed:
            assert queue.remove(str(number))
            assert not queue.remove(str(number))
    assert len(queue) == len(kept)
    order = drain(queue)
    assert sorted(order) == sorted(kept)


async def test_a_turnstile_never_lets_more_in_than_it_has_slots() -> None:
    slots, inside, most = PageSlots(2), 0, 0

    async def page(owner: str) -> None:
        nonlocal inside, most
        async with slots.hold(owner, timeout_s=5):
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0)
            inside -= 1

    await asyncio.gather(*(page(str(n % 3)) for n in range(20)))
    assert most == 2
    assert slots.waiting == 0


async def test_who_gives_up_leaves_no_hole() -> None:
    slots = PageSlots(1)
    async with slots.hold("a", timeout_s=1):
        with pytest.raises(DeadlineExceeded):
            async with slots.hold("b", timeout_s=0):
                raise AssertionError("unreachable: the slot is taken")
        waiting = asyncio.create_task(_enter(slots))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert slots.waiting == 0
    async with slots.hold("c", timeout_s=0.1):
        pass


async def test_a_cancel_in_the_moment_of_the_call_gives_the_slot_back() -> None:
    slots = PageSlots(1)
    async with slots.hold("a", timeout_s=1):
        waiting = asyncio.create_task(_enter(slots))
        await asyncio.sleep(0)
    waiting.cancel()  # it was called when the block above ended
    await asyncio.gather(waiting, return_exceptions=True)
    async with slots.hold("c", timeout_s=0.1):
        pass


async def _enter(slots: PageSlots) -> None:
    async with slots.hold("x", timeout_s=5):
        pass
