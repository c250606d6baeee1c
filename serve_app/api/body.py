"""A request's body on its way in: how long it may take, and what it holds of the gateway.

Uploads have places of their own, so that they hold none of those of the requests (``gate.py``), and
one budget of bytes for all of them. Bytes are held until the request ends: the file is needed for
as long. What a client declares costs it nothing and us as little: bytes are held a step ahead of
those that came, so that 500 clients that drip and promise gigabytes hold a few megabytes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import aclosing, contextmanager
from typing import Any

from starlette.requests import Request

from serve_app.api.content_encoding import decoder_of
from serve_app.clock import now
from serve_app.errors import BodyTooSlow, RequestTooLarge, UploadsFull
from serve_app.policy.body_pace import BodyPace, slowest
from serve_app.policy.byte_budget import ByteBudget, Share
from serve_app.settings import AppSettings

STEP_BYTES = 64 * 1024
# Younger ones have not had the time to show how fast they are.
MIN_AGE_S = 1.0
TOTAL_KEY = "gateway.max_body_bytes_total"


class Body:
    """One of them; ``chunks`` or ``read`` is called once.

    Attributes:
        request: whose body it is.
        received_bytes: so far, as they came.
        size_bytes: the same without their Content-Encoding.
        share: what it holds of the budget.
    """

    def __init__(
        self,
        request: Request,
        *,
        max_bytes: int,
        pace: BodyPace,
        share: Share,
        clock: Callable[[], float] = now,
    ) -> None:
        self.request, self.share = request, share
        self.received_bytes = self.size_bytes = 0
        self._max_bytes, self._pace, self._clock = max_bytes, pace, clock
        self._declared = declared_bytes(request.headers)
        self._begun_s = clock()
        self._ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def age_s(self) -> float:
        """Seconds since the request came."""
        return self._clock() - self._begun_s

    def end(self) -> None:
        """Others need its place: its reader gets ``BodyTooSlow``."""
        if not self._ended.done():
            self._ended.set_result(None)

    async def read(self) -> bytearray:
        """The whole.

        Raises: as ``chunks``.
        """
        data = bytearray()
        async with aclosing(self.chunks()) as chunks:
            async for chunk in chunks:
                data += chunk
        return data

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """The body as it comes, each piece held before it is given out; gzip is undone.

        Raises:
            UnsupportedEncoding, InvalidRequest: see ``content_encoding.py``.
            RequestTooLarge: at once if Content-Length says so, else when a limit is crossed.
            UploadsFull: there is no room for it now.
            BodyTooSlow: it did not come in time.
        """
        decoder = decoder_of(self.request.headers)
        self._check_size(self._declared)
        self._check_room(self._declared)
        if decoder.encoded:
            self._declared = 0  # nothing is known of what it becomes
        async with aclosing(self.request.stream()) as stream:
            while (chunk := await self._next(stream)) is not None:
                self.received_bytes += len(chunk)
                for piece in decoder.pieces(chunk):
                    self.size_bytes += len(piece)
                    self._check_size(self.size_bytes)
                    self._hold_ahead()
                    yield piece
                    if decoder.encoded:
                        await asyncio.sleep(0)  # others have their turn: it may be much
        decoder.end()

    def hold(self, size_bytes: int) -> None:
        """Hold this many bytes in all, for copies and for what is fetched.

        Raises:
            RequestTooLarge: more than there can ever be room for.
            UploadsFull: there is no room for them now.
        """
        if not self.share.grow_to(size_bytes):
            self._refuse(size_bytes)

    async def _next(self, stream: AsyncGenerator[bytes, None]) -> bytes | None:
        """The next piece; None at the end."""
        piece = asyncio.ensure_future(_one(stream))
        try:
            left_s = max(0.0, self._pace.due_s(self.received_bytes) - self.age_s)
            waited: tuple[asyncio.Future[Any], ...] = (piece, self._ended)
            await asyncio.wait(waited, timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
            if not piece.done():
                raise self._too_slow()
            return piece.result()
        finally:
            if not piece.done():
                piece.cancel()
                await asyncio.gather(piece, return_exceptions=True)
            del piece, waited  # it holds its exception, whose traceback holds this frame

    def _too_slow(self) -> BodyTooSlow:
        age_s = self.age_s
        if self._pace.is_late(age_s):
            what = "The time in seconds in which the request body did not come"
            return BodyTooSlow(
                what, round(age_s, 1), self._pace.timeout_s, "gateway.body_timeout_s"
            )
        rate = int(self.received_bytes / age_s) if age_s > 0 else 0
        what = "The rate in bytes a second at which the request body came"
        key = "gateway.min_body_bytes_per_s"
        return BodyTooSlow(what, rate, self._pace.min_bytes_per_s, key)

    def _check_size(self, size_bytes: int) -> None:
        if size_bytes > self._max_bytes:
            what = "The size of the request body in bytes"
            raise RequestTooLarge(what, size_bytes, self._max_bytes, "limits.max_request_bytes")

    def _check_room(self, size_bytes: int) -> None:
        """Refuse what would not fit now before it is sent; nothing is held yet."""
        budget = self.share.budget
        if budget.used_bytes + size_bytes > budget.limit_bytes:
            self._refuse(size_bytes)

    def _hold_ahead(self) -> None:
        ahead = max(STEP_BYTES, 2 * self.size_bytes)
        wanted = min(ahead, self._declared or self._max_bytes)
        if not self.share.grow_to(wanted):
            self.hold(self.size_bytes)

    def _refuse(self, size_bytes: int) -> None:
        budget = self.share.budget
        if size_bytes > budget.limit_bytes:
            what = "The size of the request body in bytes, with its copies,"
            raise RequestTooLarge(what, size_bytes, budget.limit_bytes, TOTAL_KEY)
        raise UploadsFull(f"{budget.used_bytes} bytes of request bodies are held ({TOTAL_KEY})")


async def _one(stream: AsyncGenerator[bytes, None]) -> bytes | None:
    async for chunk in stream:
        return chunk
    return None


class Uploads:
    """The bodies of a gateway. On one event loop.

    Args:
        settings: limits.
        clock: seconds, monotonic.
    """

    def __init__(self, settings: AppSettings, clock: Callable[[], float] = now) -> None:
        gateway = settings.gateway
        self.budget = ByteBudget(gateway.max_body_bytes_total)
        self._max_bytes = settings.limits.max_request_bytes
        self._places = gateway.max_uploads
        self._pace = BodyPace(
            gateway.body_timeout_s, gateway.min_body_bytes_per_s, gateway.body_grace_s
        )
        self._clock = clock
        self._arriving: dict[Body, None] = {}

    @contextmanager
    def body(self, request: Request) -> Iterator[Body]:
        """A request's body: its place until ``arrived``, its bytes for the length of the block.

        Raises:
            UploadsFull: as many come as may, and all have only just begun.
        """
        self._make_room()
        body = Body(
            request,
            max_bytes=self._max_bytes,
            pace=self._pace,
            share=self.budget.share(),
            clock=self._clock,
        )
        self._arriving[body] = None
        try:
            yield body
        finally:
            self.arrived(body)
            body.share.close()

    def arrived(self, body: Body) -> None:
        """It is read: its place is free."""
        self._arriving.pop(body, None)

    def _make_room(self) -> None:
        if len(self._arriving) < self._places:
            return
        bodies = list(self._arriving)
        slow = slowest([(body.received_bytes, body.age_s) for body in bodies], MIN_AGE_S)
        if slow is None:
            raise UploadsFull(f"{len(bodies)} request bodies are being read (gateway.max_uploads)")
        bodies[slow].end()
        self.arrived(bodies[slow])


def declared_bytes(headers: Mapping[str, str]) -> int:
    """Content-Length; 0 if there is none that can be read."""
    declared = headers.get("content-length", "")
    return int(declared) if declared.isascii() and declared.isdigit() and len(declared) < 20 else 0
