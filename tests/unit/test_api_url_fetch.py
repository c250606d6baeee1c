"""Fetching URLs with a resolver and a transport that only record what would have been asked."""

from __future__ import annotations

import asyncio
import gzip
import socket
import threading
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field

import httpx
import pytest

from serve_app.api.app import build_http_app
from serve_app.api.url_fetch import RESOLVER_THREADS, UrlFetcher
from serve_app.errors import (
    LimitExceeded,
    RequestTooLarge,
    UnsupportedFile,
    UploadsFull,
    UrlFetchFailed,
    UrlRefused,
)
from serve_app.settings import UrlFetchSettings
from serve_app.testing.service import FakeDocumentService, fake_settings
from tests import documents

PNG = documents.picture("png")
PUBLIC = "93.184.216.34"


@dataclass
class Internet:
    """Names with their addresses, and pages by URL as a browser would write it."""

    names: Mapping[str, Sequence[str]]
    pages: Mapping[str, Callable[[], httpx.Response]] = field(default_factory=dict)
    looked_up: list[str] = field(default_factory=list)
    asked: list[httpx.Request] = field(default_factory=list)

    async def resolve(self, host: str, port: int) -> Sequence[str]:
        self.looked_up.append(host)
        if host not in self.names:
            raise OSError("Name or service not known: " + host)
        return self.names[host]

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        netloc = request.headers["host"]
        url = f"{request.url.scheme}://{netloc}{request.url.raw_path.decode()}"
        return self.pages[url]()

    def fetcher(self, **settings: object) -> UrlFetcher:
        found = UrlFetchSettings.model_validate({"enabled": True, **settings})
        return UrlFetcher(found, self.resolve, lambda: httpx.MockTransport(self.answer))


def png() -> httpx.Response:
    return httpx.Response(200, stream=httpx.ByteStream(PNG))


def redirect(to: str) -> Callable[[], httpx.Response]:
    return lambda: httpx.Response(302, headers={"location": to})


async def test_the_connection_goes_to_the_address_that_was_looked_up_once() -> None:
    url = "https://files.example.com/a.png?x=1"
    internet = Internet({"files.example.com": [PUBLIC, "8.8.8.8"]}, {url: png})
    assert await internet.fetcher().fetch(url + "#page") == PNG
    assert internet.looked_up == ["files.example.com"]
    (request,) = internet.asked
    assert str(request.url) == f"https://{PUBLIC}/a.png?x=1"
    assert request.headers["host"] == "files.example.com"
    assert request.extensions["sni_hostname"] == "files.example.com"
    assert request.headers["accept-encoding"] == "identity"
    assert not {"authorization", "cookie"} & set(request.headers)


@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.1"],
        ["10.0.0.5"],
        ["169.254.169.254"],
        ["::1"],
        ["::ffff:127.0.0.1"],
        ["fd00:ec2::254"],
        [PUBLIC, "192.168.0.1"],
    ],
)
async def test_a_name_of_an_inner_address_is_never_asked(addresses: list[str]) -> None:
    internet = Internet({"inner.example.com": addresses})
    with pytest.raises(UrlRefused) as caught:
        await internet.fetcher().fetch("http://inner.example.com/")
    assert internet.asked == []
    assert not any(address in str(caught.value) for address in addresses)


async def test_every_redirect_is_checked_anew() -> None:
    start = "http://a.example.com/"
    internet = Internet(
        {"a.example.com": [PUBLIC], "inner.example.com": ["10.0.0.1"]},
        {start: redirect("http://inner.example.com/secret")},
    )
    with pytest.raises(UrlRefused):
        await internet.fetcher().fetch(start)
    assert [str(request.url) for request in internet.asked] == [f"http://{PUBLIC}/"]
    assert internet.looked_up == ["a.example.com", "inner.example.com"]


@pytest.mark.parametrize(
    "to", ["ftp://a.example.com/", "file:///etc/passwd", "http://x@a.example.com/"]
)
async def test_a_redirect_to_what_is_not_fetched_is_refused(to: str) -> None:
    start = "http://a.example.com/"
    internet = Internet({"a.example.com": [PUBLIC]}, {start: redirect(to)})
    with pytest.raises(UrlRefused):
        await internet.fetcher().fetch(start)
    assert len(internet.asked) == 1


async def test_a_relative_redirect_keeps_the_name_and_is_looked_up_again() -> None:
    pages = {"http://a.example.com/x/": redirect("../b.png"), "http://a.example.com/b.png": png}
    internet = Internet({"a.example.com": [PUBLIC]}, pages)
    assert await internet.fetcher().fetch("http://a.example.com/x/") == PNG
    assert internet.looked_up == ["a.example.com"] * 2
    assert internet.asked[1].headers["host"] == "a.example.com"


@pytest.mark.parametrize(("hops", "followed"), [(3, True), (4, False)])
async def test_three_redirects_are_followed(hops: int, followed: bool) -> None:
    pages = {f"http://a.example.com/{n}": redirect(f"/{n + 1}") for n in range(hops)}
    internet = Internet({"a.example.com": [PUBLIC]}, {**pages, f"http://a.example.com/{hops}": png})
    if followed:
        assert await internet.fetcher().fetch("http://a.example.com/0") == PNG
        return
    with pytest.raises(LimitExceeded, match=r"is 4, the limit is 3 \(url_fetch\.max_redirects\)"):
        await internet.fetcher().fetch("http://a.example.com/0")
    assert len(internet.asked) == 4


async def test_a_host_that_is_not_allowed_is_not_even_looked_up() -> None:
    internet = Internet({"a.example.com": [PUBLIC]})
    with pytest.raises(UrlRefused):
        await internet.fetcher(allowed_hosts=["b.example.com"]).fetch("http://a.example.com/")
    assert (internet.looked_up, internet.asked) == ([], [])


@dataclass
class Endless(httpx.AsyncByteStream):
    """Bytes that do not stop; counts what was taken of them."""

    taken: int = 0
    closed: bool = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            self.taken += 1000
            yield b"x" * 1000

    async def aclose(self) -> None:
        self.closed = True


async def test_a_stream_is_closed_when_it_crosses_the_limit() -> None:
    endless = Endless()
    internet = Internet(
        {"a.example.com": [PUBLIC]},
        {"http://a.example.com/": lambda: httpx.Response(200, stream=endless)},
    )
    with pytest.raises(RequestTooLarge, match=r"the limit is 5500 \(url_fetch\.max_bytes\)"):
        await internet.fetcher(max_bytes=5500).fetch("http://a.example.com/")
    assert (endless.taken, endless.closed) == (6000, True)


async def test_a_declared_size_above_the_limit_is_not_read() -> None:
    endless = Endless()

    def declared() -> httpx.Response:
        return httpx.Response(200, stream=endless, headers={"content-length": "5501"})

    internet = Internet({"a.example.com": [PUBLIC]}, {"http://a.example.com/": declared})
    with pytest.raises(RequestTooLarge):
        await internet.fetcher(max_bytes=5500).fetch("http://a.example.com/")
    assert (endless.taken, endless.closed) == (0, True)


class Silent(httpx.AsyncByteStream):
    """Never sends anything."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        await asyncio.Event().wait()
        yield b""


async def test_a_slow_host_is_given_up() -> None:
    internet = Internet(
        {"a.example.com": [PUBLIC]},
        {"http://a.example.com/": lambda: httpx.Response(200, stream=Silent())},
    )
    with pytest.raises(UrlFetchFailed, match=r"longer than 0\.01 s \(url_fetch\.timeout_s\)"):
        await internet.fetcher(timeout_s=0.01).fetch("http://a.example.com/")


@pytest.mark.parametrize("status", [204, 206, 404, 500])
async def test_other_answers_are_failures(status: int) -> None:
    internet = Internet(
        {"a.example.com": [PUBLIC]},
        {"http://a.example.com/": lambda: httpx.Response(status, content=PNG)},
    )
    with pytest.raises(UrlFetchFailed, match=str(status)):
        await internet.fetcher().fetch("http://a.example.com/")


async def test_compressed_answers_are_not_unpacked() -> None:
    def bomb() -> httpx.Response:
        stream = httpx.ByteStream(gzip.compress(PNG))
        return httpx.Response(200, stream=stream, headers={"content-encoding": "gzip"})

    internet = Internet({"a.example.com": [PUBLIC]}, {"http://a.example.com/": bomb})
    with pytest.raises(UrlFetchFailed, match="compressed"):
        await internet.fetcher().fetch("http://a.example.com/")


async def test_what_is_no_document_is_not_handed_on() -> None:
    page = httpx.Response(200, stream=httpx.ByteStream(b"<html>intranet</html>"))
    internet = Internet({"a.example.com": [PUBLIC]}, {"http://a.example.com/": lambda: page})
    with pytest.raises(UnsupportedFile) as caught:
        await internet.fetcher().fetch("http://a.example.com/")
    assert "intranet" not in str(caught.value)


async def test_errors_of_the_network_say_only_their_kind() -> None:
    def broken() -> httpx.Response:
        raise httpx.ConnectError(f"refused by {PUBLIC}")

    internet = Internet({"a.example.com": [PUBLIC]}, {"http://a.example.com/": broken})
    with pytest.raises(UrlFetchFailed) as caught:
        await internet.fetcher().fetch("http://a.example.com/")
    assert str(caught.value) == "The URL could not be read: ConnectError"
    with pytest.raises(UrlFetchFailed) as caught:
        await internet.fetcher().fetch("http://unknown.example.com/")
    assert "unknown" not in str(caught.value)


async def test_both_protocols_take_a_url_where_it_is_allowed() -> None:
    url = "http://a.example.com/b.png"
    internet = Internet({"a.example.com": [PUBLIC]}, {url: png})
    settings = fake_settings()
    app = build_http_app(
        FakeDocumentService(settings=settings), settings, fetch=internet.fetcher().fetch
    )
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        theirs = await client.post("/ocr", json={"file": f" {url} "})
        ours = await client.post("/v1/parse?format=json", files={"file": (None, url)})
        refused = await client.post("/ocr", json={"file": "http://a.example.com:22/"})
    assert (theirs.status_code, ours.status_code) == (200, 200), ours.text
    assert theirs.json()["result"]["dataInfo"]["type"] == "image"
    assert refused.status_code == 422
    assert "url_fetch.ports" in refused.json()["errorMsg"]


async def test_a_fetcher_is_made_only_where_the_configuration_says_so() -> None:
    """A loopback address: refused by the guard, so without a connection."""
    answers = []
    for enabled in (False, True):
        settings = fake_settings(url_fetch={"enabled": enabled})
        transport = httpx.ASGITransport(
            build_http_app(FakeDocumentService(settings=settings), settings)
        )
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            files = {"file": (None, "http://127.0.0.1:80/")}
            answers.append(await client.post("/v1/parse", files=files))
    codes = [answer.json()["error"]["code"] for answer in answers]
    assert codes == ["url_fetch_disabled", "url_refused"]


async def test_names_that_do_not_answer_stop_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """A look-up cannot be ended: it holds a thread, which must be none of the event loop's."""
    never = threading.Event()
    threads: list[str] = []

    def hang(host: str, *args: object, **kwargs: object) -> list[object]:
        threads.append(threading.current_thread().name)
        never.wait(20)
        raise OSError(host)

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    settings = UrlFetchSettings(enabled=True, timeout_s=0.05)
    fetcher = UrlFetcher(settings, transport=lambda: httpx.MockTransport(lambda _: png()))
    try:
        fetches = [fetcher.fetch(f"http://{n}.example/") for n in range(64)]
        results = await asyncio.gather(*fetches, return_exceptions=True)
        assert all(isinstance(result, UrlFetchFailed) for result in results)
        assert len(threads) <= RESOLVER_THREADS
        assert all(name.startswith("resolver") for name in threads)
        assert await asyncio.wait_for(asyncio.to_thread(lambda: "free"), 5) == "free"
    finally:
        never.set()


async def test_a_fetched_file_is_held_as_it_comes() -> None:
    url = "https://files.example.com/a.png"
    internet = Internet({"files.example.com": [PUBLIC]}, {url: png})
    held: list[int] = []
    assert await internet.fetcher().fetch(url, held.append) == PNG
    assert held[-1] == len(PNG)

    def no_room(size_bytes: int) -> None:
        raise UploadsFull("full")

    with pytest.raises(UploadsFull):
        await internet.fetcher().fetch(url, no_room)
