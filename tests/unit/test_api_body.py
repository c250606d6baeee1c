"""What a request body may take: time, bytes, a place; and that others are not held up by it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from starlette.requests import Request

from serve_app.api.body import STEP_BYTES, Body, Uploads
from serve_app.errors import BodyTooSlow, RequestTooLarge, UploadsFull
from serve_app.policy.body_pace import BodyPace
from serve_app.policy.byte_budget import ByteBudget
from serve_app.testing.service import fake_settings

UNHURRIED = BodyPace(timeout_s=600, min_bytes_per_s=1, grace_s=600)


def request_of(*chunks: bytes, content_length: int | None = None) -> tuple[Request, list[bytes]]:
    """A request and the list of its chunks that were not read yet."""
    left = list(chunks)
    headers = []
    if content_length is not None:
        headers.append((b"content-length", str(content_length).encode()))

    async def receive() -> dict[str, Any]:
        chunk = left.pop(0)
        return {"type": "http.request", "body": chunk, "more_body": bool(left)}

    return Request({"type": "http", "headers": headers}, receive), left


def silent() -> Request:
    """Nothing of its body ever comes."""

    async def receive() -> dict[str, Any]:
        await asyncio.Event().wait()
        raise AssertionError

    return Request({"type": "http", "headers": []}, receive)


def body_of(
    request: Request,
    max_bytes: int = 1000,
    *,
    budget: ByteBudget | None = None,
    pace: BodyPace = UNHURRIED,
    clock: Any = lambda: 100.0,
) -> Body:
    share = (budget or ByteBudget(10**9)).share()
    return Body(request, max_bytes=max_bytes, pace=pace, share=share, clock=clock)


async def test_body_of_exactly_the_limit_is_read() -> None:
    request, _ = request_of(b"12345", b"67890", content_length=10)
    assert await body_of(request, 10).read() == b"1234567890"


async def test_content_length_above_the_limit_is_refused_without_reading() -> None:
    request, left = request_of(b"12345", content_length=11)
    with pytest.raises(RequestTooLarge) as caught:
        await body_of(request, 10).read()
    assert left == [b"12345"]
    assert caught.value.config_key == "limits.max_request_bytes"


@pytest.mark.parametrize("declared", [None, 3])
async def test_body_above_the_limit_is_refused_while_reading(declared: int | None) -> None:
    request, left = request_of(b"12345", b"678901", b"never read", content_length=declared)
    with pytest.raises(RequestTooLarge):
        await body_of(request, 10).read()
    assert left == [b"never read"]


async def test_chunks_are_counted_without_a_declared_length() -> None:
    async def chunks(stream: AsyncIterator[bytes]) -> list[bytes]:
        return [chunk async for chunk in stream]

    request, _ = request_of(b"ab", b"cd")
    assert await chunks(body_of(request, 4).chunks()) == [b"ab", b"cd", b""]


async def test_what_is_held_follows_what_came_and_not_what_was_promised() -> None:
    budget = ByteBudget(10**9)
    request, left = request_of(b"x", b"y" * STEP_BYTES, b"z" * 10, content_length=500_000_000)
    body = body_of(request, 10**9, budget=budget)
    held = []
    async for chunk in body.chunks():
        if chunk:
            held.append((body.received_bytes, budget.used_bytes))
    assert not left
    assert held[0] == (1, STEP_BYTES)
    assert all(size <= used <= max(STEP_BYTES, 2 * size) for size, used in held)
    body.share.close()
    assert budget.used_bytes == 0


async def test_a_small_body_holds_its_length_and_no_more() -> None:
    budget = ByteBudget(10**9)
    request, _ = request_of(b"12345", content_length=5)
    await body_of(request, budget=budget).read()
    assert budget.used_bytes == 5


async def test_bodies_beyond_the_budget_are_told_to_come_back() -> None:
    budget = ByteBudget(100)
    first, _ = request_of(b"1" * 60, content_length=60)
    await body_of(first, budget=budget).read()
    for declared in (60, None):
        second, left = request_of(b"2" * 60, content_length=declared)
        with pytest.raises(UploadsFull, match=r"gateway\.max_body_bytes_total") as caught:
            await body_of(second, budget=budget).read()
        assert caught.value.retry_after_s
        assert bool(left) == (declared is not None), "what is too much is not read"
    assert budget.used_bytes == 60, "what was refused holds nothing more"


async def test_a_body_that_can_never_fit_is_too_large() -> None:
    request, left = request_of(b"1" * 200, content_length=200)
    with pytest.raises(RequestTooLarge) as caught:
        await body_of(request, budget=ByteBudget(100)).read()
    assert caught.value.config_key == "gateway.max_body_bytes_total"
    assert left


async def test_a_body_that_does_not_come_is_given_up_at_its_deadline() -> None:
    pace = BodyPace(timeout_s=0.02, min_bytes_per_s=0, grace_s=0.001)
    with pytest.raises(BodyTooSlow) as caught:
        await body_of(silent(), pace=pace, clock=asyncio.get_running_loop().time).read()
    assert caught.value.config_key == "gateway.body_timeout_s"


async def test_a_body_that_drips_is_given_up_after_its_grace() -> None:
    now = [0.0]

    async def receive() -> dict[str, Any]:
        now[0] += 1.0
        if now[0] > 12:
            await asyncio.Event().wait()
        return {"type": "http.request", "body": b"x", "more_body": True}

    request = Request({"type": "http", "headers": []}, receive)
    pace = BodyPace(timeout_s=300, min_bytes_per_s=100, grace_s=10)
    body = body_of(request, pace=pace, clock=lambda: now[0])
    with pytest.raises(BodyTooSlow) as caught:
        await body.read()
    assert caught.value.config_key == "gateway.min_body_bytes_per_s"
    assert now[0] <= 13
    assert caught.value.value <= 1


async def test_what_has_arrived_is_taken_although_we_were_late_ourselves() -> None:
    request, _ = request_of(b"12345", content_length=5)
    pace = BodyPace(timeout_s=1, min_bytes_per_s=100, grace_s=1)
    times = iter([0.0] + [50.0] * 20)
    assert await body_of(request, pace=pace, clock=lambda: next(times)).read() == b"12345"


def uploads(now: list[float], **gateway: Any) -> Uploads:
    settings = fake_settings(gateway={"max_uploads": 2, **gateway})
    return Uploads(settings, clock=lambda: now[0])


async def test_when_all_places_are_taken_the_slowest_upload_makes_room() -> None:
    now = [0.0]
    places = uploads(now)
    with places.body(silent()) as slow, places.body(silent()) as fast:
        fast.received_bytes = 10_000
        reading = asyncio.create_task(slow.read())
        await asyncio.sleep(0)
        now[0] = 2.0
        with places.body(request_of(b"new")[0]) as new:
            with pytest.raises(BodyTooSlow):
                await reading
            assert await new.read() == b"new"


async def test_uploads_that_have_only_just_begun_keep_their_places() -> None:
    places = uploads([0.0])
    full = pytest.raises(UploadsFull, match=r"gateway\.max_uploads")
    with places.body(silent()), places.body(silent()), full, places.body(silent()):
        pass


async def test_a_body_that_was_read_leaves_its_place_and_keeps_its_bytes() -> None:
    places = uploads([0.0], max_uploads=1)
    with places.body(request_of(b"12345", content_length=5)[0]) as body:
        await body.read()
        places.arrived(body)
        with places.body(silent()):
            assert places.budget.used_bytes == 5
    assert places.budget.used_bytes == 0
