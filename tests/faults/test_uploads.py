"""Uploads that are slow, or large, or both, against a real server: nobody else notices them."""

from __future__ import annotations

import base64
import contextlib
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import psutil
import pytest

from serve_app.gateway.body_window import MARGIN
from serve_app.testing.engine import faulty
from tests.documents import picture
from tests.e2e.server import Server
from tests.e2e.waiting import eventually
from tests.faults.scene import MIB, Before, fault_config, page, running_with_faults

pytestmark = [pytest.mark.faults, pytest.mark.slow]

DRIPPING = 500
GRACE_S = 8.0
LARGE, LARGE_BYTES = 64, 60 * MIB
BUDGET_BYTES = 256 * MIB
# What Serve's proxy and its queues hold of bodies that the gateway has not admitted.
WINDOW_BYTES = int(MARGIN * BUDGET_BYTES)
# Beside bodies: a slice each of what is decoded, the copy of the file that the reader's process
# gets, a message on its way from the proxy to the gateway. Without bounds it was 7.5 GiB.
BESIDE_BYTES = 192 * MIB


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    config = fault_config(gateway={"body_grace_s": GRACE_S, "max_body_bytes_total": BUDGET_BYTES})
    with running_with_faults(config) as server:
        eventually(lambda: server.parse(page()).status_code == 200, 30, "a page is answered")
        yield server


def connected(server: Server) -> socket.socket:
    at = urlsplit(server.url)
    return socket.create_connection((at.hostname or "", at.port or 0), timeout=60)


def head(path: str, size: int, kind: str = "application/json") -> bytes:
    lines = (f"POST {path} HTTP/1.1", "Host: localhost", f"Content-Type: {kind}")
    return "\r\n".join((*lines, f"Content-Length: {size}", "", "")).encode()


@contextlib.contextmanager
def dripping(server: Server) -> Iterator[list[socket.socket]]:
    """Connections that promise megabytes and send a byte a second."""
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(connected(server)) for _ in range(DRIPPING)]
        over = threading.Event()

        def drip() -> None:
            while not over.wait(1.0):
                for connection in connections:
                    with contextlib.suppress(OSError):  # it was told, and closed
                        connection.send(b"A")

        for number, connection in enumerate(connections):
            path = "/v1/parse" if number % 2 else "/ocr"
            connection.sendall(head(path, 50 * MIB) + b'{"file": "')
        thread = threading.Thread(target=drip)
        thread.start()
        try:
            yield connections
        finally:
            over.set()
            thread.join()


def seconds_of_requests(server: Server, count: int) -> list[float]:
    """Each is answered with its page."""
    seconds = []
    for _ in range(count):
        began = time.monotonic()
        answer = server.parse(page())
        seconds.append(time.monotonic() - began)
        assert answer.status_code == 200, answer.text
    return seconds


def told(connection: socket.socket) -> tuple[int, bool]:
    """The status that came, and whether the connection was closed after it."""
    received = b""
    try:
        while piece := connection.recv(65536):
            received += piece
    except TimeoutError:
        return int(received[9:12] or 0), False
    except ConnectionResetError:
        pass  # closed while a byte was on its way
    return int(received[9:12] or 0), True


def test_five_hundred_clients_that_drip_are_not_noticed(server: Server) -> None:
    before = Before.of(server)
    alone = sorted(seconds_of_requests(server, 20))
    with dripping(server) as connections:
        began = time.monotonic()
        beside = sorted(seconds_of_requests(server, 20))
        assert time.monotonic() - began < GRACE_S, "they drip no more: too slow to tell"
        eventually(
            lambda: len(server.events("request refused", error_code="body_too_slow")) == DRIPPING,
            GRACE_S + 30,
            "all of them are told",
        )
        ends = Counter(told(connection) for connection in connections)
    print(f"median {alone[10]:.3f} s alone, {beside[10]:.3f} s beside {DRIPPING}; {dict(ends)}")
    assert ends == {(408, True): DRIPPING}
    assert beside[10] < 10 * alone[10] + 0.2
    before.assert_nothing_is_left()


class Peak:
    """The most that a process held while the block ran, beyond what it held before, in bytes.

    What it shares is apart: a message of Ray's object store is mapped by the proxy, the gateway and
    the raylet, and is in the RSS of each of them.
    """

    def __init__(self, process: psutil.Process) -> None:
        self._process, self._over = process, threading.Event()
        self._start = self._now()
        self.private_bytes = self.shared_bytes = 0

    def _now(self) -> tuple[int, int]:
        memory = self._process.memory_info()
        return memory.rss - memory.shared, memory.shared

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        thread = threading.Thread(target=self._watch)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()

    def _watch(self) -> None:
        while not self._over.wait(0.02):
            private, shared = (
                now - start for now, start in zip(self._now(), self._start, strict=True)
            )
            self.private_bytes = max(self.private_bytes, private)
            self.shared_bytes = max(self.shared_bytes, shared)

    def __str__(self) -> str:
        return f"{self.private_bytes // MIB} + {self.shared_bytes // MIB} shared MiB more"


def test_sixty_four_large_json_bodies_stay_within_the_gateways_budget(server: Server) -> None:
    before = Before.of(server)
    file = faulty(picture("png") + bytes(LARGE_BYTES // 4 * 3))
    # One buffer for all clients: the memory that is looked at is the server's.
    body = b'{"file": "' + base64.b64encode(file) + b'", "fileType": 1}'
    gateway = Peak(server.replica_process("gateway"))
    proxy = Peak(next(one for one in server.processes() if "ProxyActor" in one.name()))

    def send(number: int) -> int:
        with connected(server) as connection:
            connection.sendall(head("/ocr", len(body)))
            # Who is refused is told so before the whole body is sent.
            with contextlib.suppress(ConnectionError):
                connection.sendall(body)
            return int(connection.recv(65536)[9:12] or 0)

    with gateway.watched(), proxy.watched(), ThreadPoolExecutor(LARGE) as clients:
        answers = Counter(clients.map(send, range(LARGE)))
    print(f"{dict(answers)}; gateway {gateway}, proxy {proxy}")
    assert answers.keys() == {200, 503}
    assert answers[200] >= 1
    assert gateway.private_bytes < BUDGET_BYTES + WINDOW_BYTES + BESIDE_BYTES
    assert proxy.private_bytes < WINDOW_BYTES + BESIDE_BYTES
    assert max(gateway.shared_bytes, proxy.shared_bytes) < WINDOW_BYTES + BESIDE_BYTES
    assert server.parse(page()).status_code == 200
    before.assert_nothing_is_left()
