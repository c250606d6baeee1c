"""Requests from several clients until told to stop, and what became of each."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import httpx

from tests.e2e.server import Server

# What a client may simply send again.
RETRYABLE = frozenset({502, 503, 504})


@dataclass(frozen=True)
class Ended:
    """One request: when it began and ended, and its status; None: the connection broke.

    ``body``: how an error begins that is not in our envelope, so not of our making.
    """

    began: float
    ended: float
    status: int | None
    code: str | None
    retry_after: str | None
    body: str | None = None

    @property
    def seconds(self) -> float:
        """From its sending to its answer."""
        return self.ended - self.began


@dataclass
class Traffic:
    """What the clients saw, and what /readyz said meanwhile."""

    requests: list[Ended] = field(default_factory=list)
    readiness: list[tuple[float, int | None]] = field(default_factory=list)

    def outcomes(self) -> Counter[str]:
        """How many requests ended how."""
        return Counter(f"{one.status} {one.code or ''}".strip() for one in self.requests)

    def served(self) -> list[Ended]:
        """Those with a result."""
        return [one for one in self.requests if one.status == 200]


@contextlib.contextmanager
def traffic(
    server: Server,
    document: Callable[[random.Random], bytes],
    *,
    clients: int,
    timeout_s: float,
    pause_s: float = 0.0,
    patience_s: float = 0.0,
    seed: int = 0,
) -> Iterator[Traffic]:
    """Clients that ask one request after the other while the block runs; all have ended after it.

    Args:
        document: what a request sends, drawn by its client.
        timeout_s: of the client, far above the server's own deadlines.
        pause_s: between the answer and the next request.
        patience_s: the most that a client waits when it is told to (Retry-After).
    """
    seen, over = Traffic(), threading.Event()
    pauses = (pause_s, patience_s)
    threads = [
        threading.Thread(target=_client, args=(server, document, seen, over, timeout_s, pauses, n))
        for n in range(seed, seed + clients)
    ]
    threads.append(threading.Thread(target=_watch, args=(server, seen, over)))
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        over.set()
        for thread in threads:
            thread.join()


def _client(
    server: Server,
    document: Callable[[random.Random], bytes],
    seen: Traffic,
    over: threading.Event,
    timeout_s: float,
    pauses: tuple[float, float],
    seed: int,
) -> None:
    chance = random.Random(seed)
    pause_s, patience_s = pauses
    with httpx.Client(base_url=server.url, timeout=timeout_s, trust_env=False) as http:
        while not over.is_set():
            files = {"file": ("document", document(chance))}
            began = time.monotonic()
            try:
                answer = http.post("/v1/parse", files=files)
            except httpx.TransportError as error:
                kind = type(error).__name__
                seen.requests.append(Ended(began, time.monotonic(), None, kind, None))
            else:
                seen.requests.append(ended(began, answer))
                told_s = float(answer.headers.get("retry-after", 0))
                over.wait(min(told_s, patience_s))
            over.wait(pause_s)


def ended(began: float, answer: httpx.Response) -> Ended:
    """What became of a request that was answered now."""
    code = None
    if answer.status_code != 200:
        with contextlib.suppress(ValueError, KeyError, TypeError):
            code = str(answer.json()["error"]["code"])
    retry_after = answer.headers.get("retry-after")
    foreign = answer.status_code != 200 and code is None
    body = answer.text[:300] if foreign else None
    return Ended(began, time.monotonic(), answer.status_code, code, retry_after, body)


def _watch(server: Server, seen: Traffic, over: threading.Event) -> None:
    with httpx.Client(base_url=server.url, timeout=10, trust_env=False) as http:
        while not over.wait(0.2):
            try:
                status: int | None = http.get("/readyz").status_code
            except httpx.TransportError:
                status = None
            seen.readiness.append((time.monotonic(), status))
