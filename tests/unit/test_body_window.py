"""Bodies in front of a gateway: all of them together hold no more than a window."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.types import Message, Receive, Scope, Send

from serve_app.gateway.body_window import VARIABLE, BodyWindow, middlewares, pass_on, window_bytes
from serve_app.settings import GatewaySettings

WINDOW, PIECE = 100, 40
HTTP: Scope = {"type": "http"}


async def silent(_: Message) -> None:
    """Nobody listens to the answer."""


class Greedy:
    """An application that reads ahead, as Serve's proxy does, and answers when it is told to."""

    def __init__(self) -> None:
        self.read_bytes = 0
        self.ended = 0
        self.answer = asyncio.Event()
        self.disconnected = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        reading = asyncio.ensure_future(self._read(receive))
        await self.answer.wait()
        reading.cancel()

    async def _read(self, receive: Receive) -> None:
        while (message := await receive())["type"] == "http.request":
            self.read_bytes += len(message["body"])
            self.ended += not message["more_body"]
        self.disconnected.set()


def client(pieces: int) -> Receive:
    """Sends as fast as it is read, then leaves."""
    left = iter(range(pieces, -1, -1))

    async def receive() -> Message:
        number = next(left)
        if number == 0:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": bytes(PIECE), "more_body": number > 1}

    return receive


@asynccontextmanager
async def under_way(
    window: BodyWindow, *clients: Receive
) -> AsyncIterator[list[asyncio.Task[None]]]:
    requests = [asyncio.create_task(window(HTTP, one, silent)) for one in clients]
    try:
        for _ in range(50):
            await asyncio.sleep(0)
        yield requests
    finally:
        for request in requests:
            request.cancel()
        await asyncio.gather(*requests, return_exceptions=True)


async def test_clients_are_held_back_while_the_window_is_full() -> None:
    app = Greedy()
    window = BodyWindow(app, WINDOW)
    async with under_way(window, client(100), client(100)):
        assert WINDOW <= app.read_bytes < WINDOW + 2 * PIECE
        assert window.held_bytes == app.read_bytes


async def test_an_answer_gives_back_what_its_body_held_and_others_go_on() -> None:
    first, second = Greedy(), Greedy()
    apps = iter([first, second])

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await next(apps)(scope, receive, send)

    window = BodyWindow(app, WINDOW)
    async with under_way(window, client(3), client(2)) as requests:
        assert (first.ended, second.ended) == (1, 0)
        first.answer.set()
        await requests[0]
        await second.disconnected.wait()
        assert second.ended == 1
        assert window.held_bytes == 2 * PIECE
    assert window.held_bytes == 0


async def test_that_a_client_left_is_heard_also_while_the_window_is_full() -> None:
    app = Greedy()
    async with under_way(BodyWindow(app, PIECE), client(1)):
        await asyncio.wait_for(app.disconnected.wait(), 5)


async def test_what_is_no_request_passes() -> None:
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["type"])

    await BodyWindow(app, WINDOW)({"type": "lifespan"}, client(0), silent)
    assert seen == ["lifespan"]


def test_the_window_is_above_what_the_gateways_admit() -> None:
    environ: dict[str, str] = {}
    pass_on(environ, GatewaySettings(num_replicas=2, max_body_bytes_total=1000))
    assert environ == {VARIABLE: "2500"}
    pass_on(environ, GatewaySettings())
    assert environ == {VARIABLE: "2500"}


def test_serve_is_given_one_middleware() -> None:
    assert [one.kwargs for one in middlewares()] == [
        {"limit_bytes": window_bytes(GatewaySettings())}
    ]
