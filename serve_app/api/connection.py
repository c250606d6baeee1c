"""Work that ends when nobody waits for it any more: the client has gone, or time is up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, NoReturn, TypeVar

from starlette.requests import ClientDisconnect, Request

from serve_app.api.arrival import arrival_of
from serve_app.api.context import DEADLINE_MESSAGE, Deadline
from serve_app.errors import DeadlineExceeded, ServerStopping

T = TypeVar("T")


async def while_connected(request: Request, deadline: Deadline, work: Coroutine[Any, Any, T]) -> T:
    """Run ``work`` to its end, or cancel it and wait until it has cleaned up.

    The request's body must have been read: from here on the receive channel only tells of the
    client's leaving. (Ray Serve also cancels the request then; a plain server does not.)

    Raises:
        ClientDisconnect: the client closed the connection.
        ServerStopping: it does not wait any longer.
        DeadlineExceeded: the deadline passed before ``work`` was done.
    """
    return await _race(deadline, work, _disconnected(request), given_up(request))


async def before(
    deadline: Deadline, work: Coroutine[Any, Any, T], *endings: Coroutine[Any, Any, NoReturn]
) -> T:
    """Run ``work``, e.g. reading a body: that notices itself when the client leaves.

    Raises:
        DeadlineExceeded: the deadline passed first.
        OcrServeError: what the first of ``endings`` raises.
    """
    return await _race(deadline, work, *endings)


async def _race(
    deadline: Deadline, work: Coroutine[Any, Any, T], *endings: Coroutine[Any, Any, NoReturn]
) -> T:
    """The result of ``work``, or what the first of ``endings`` raises."""
    racers: list[asyncio.Future[Any]] = [asyncio.ensure_future(one) for one in (work, *endings)]
    try:
        timeout_s = deadline.remaining_s()
        await asyncio.wait(racers, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        for racer in racers:  # the work first: it may be done at the same moment
            if racer.done():
                result: T = racer.result()
                return result
        raise DeadlineExceeded(DEADLINE_MESSAGE)
    finally:
        for racer in racers:
            racer.cancel()
        await asyncio.gather(*racers, return_exceptions=True)
        # A task holds its exception, whose traceback holds this frame: a circle, in which the
        # whole file would stay until the garbage collector comes by.
        del racers, racer


async def _never() -> NoReturn:
    await asyncio.Event().wait()
    raise AssertionError("unreachable: nobody sets it")


async def given_up(request: Request) -> NoReturn:
    """Raise when the server does not wait for the answer any more."""
    await arrival_of(request).visit.gate.given_up()
    raise ServerStopping("this server is stopping, and the request took too long to wait for")


async def _disconnected(request: Request) -> NoReturn:
    """Raise when the client has gone; never if the server cannot tell."""
    try:
        while (await request.receive())["type"] != "http.disconnect":
            pass
    except Exception:
        await _never()
    raise ClientDisconnect


@asynccontextmanager
async def closing(results: AsyncIterator[T]) -> AsyncIterator[AsyncIterator[T]]:
    """Close ``results`` at the end of the block if they can be closed, as a generator can."""
    try:
        yield results
    finally:
        aclose = getattr(results, "aclose", None)
        if aclose is not None:
            await aclose()
