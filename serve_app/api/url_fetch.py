"""Fetching an untrusted URL: guarded, pinned, bounded in bytes, time and redirects.

``policy/url_guard.py`` decides what may be asked for; every redirect is decided on anew.
"""

from __future__ import annotations

import asyncio
import io
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import httpx

from serve_app.api.body import declared_bytes
from serve_app.api.intake import Grow
from serve_app.documents.sniff import sniff
from serve_app.errors import LimitExceeded, RequestTooLarge, UrlFetchFailed
from serve_app.policy.url_guard import Target, pinned, target_of
from serve_app.settings import UrlFetchSettings

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]

# Of a gateway; each may be held by a name that nobody answers for.
RESOLVER_THREADS = 8

HEADERS = {
    "accept": "application/pdf, image/*",
    # Compressed answers are not unpacked here: a few bytes could become gigabytes.
    "accept-encoding": "identity",
    "user-agent": "ocr-serve",
}


class SystemResolver:
    """The system's resolver, in threads of its own.

    A look-up cannot be ended, only left: a name whose servers do not answer holds its thread for
    half a minute. In the event loop's own threads a few such names would stop everything else.
    """

    def __init__(self, threads: int = RESOLVER_THREADS) -> None:
        self._threads = threads
        self._running: ThreadPoolExecutor | None = None

    async def __call__(self, host: str, port: int) -> list[str]:
        """The addresses of a name.

        Raises:
            OSError: it has none.
        """
        if self._running is None:
            self._running = ThreadPoolExecutor(self._threads, thread_name_prefix="resolver")
        loop = asyncio.get_running_loop()
        look_up = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
        found = await loop.run_in_executor(self._running, look_up)
        return [str(address[0]) for *_, address in found]


def _uncounted(size_bytes: int) -> None:
    """For callers without a budget of bytes."""


class UrlFetcher:
    """Fetches files for requests.

    Args:
        settings: what may be fetched, and how much.
        resolve: name and port to addresses.
        transport: makes one for each fetch; default: real connections.
    """

    def __init__(
        self,
        settings: UrlFetchSettings,
        resolve: Resolve | None = None,
        transport: Callable[[], httpx.AsyncBaseTransport] | None = None,
    ) -> None:
        self._settings, self._resolve = settings, resolve or SystemResolver()
        if transport is None:
            context = ssl.create_default_context()  # read once: it costs tens of milliseconds

            def transport() -> httpx.AsyncBaseTransport:
                return httpx.AsyncHTTPTransport(verify=context)

        self._transport = transport

    async def fetch(self, url: str, grow: Grow = _uncounted) -> bytes:
        """The file at the URL.

        Args:
            grow: told how many bytes there will be; what it raises ends the fetching.

        Raises:
            UrlRefused: it, or where it redirects to, is not to be asked.
            UrlFetchFailed: no answer in time, or not one of 200.
            LimitExceeded: too many redirects.
            RequestTooLarge: too many bytes.
            UnsupportedFile: by its first bytes it is nothing that is read here.
        """
        timeout_s = self._settings.timeout_s
        try:
            data = await asyncio.wait_for(self._follow(url, grow), timeout_s)
        except asyncio.TimeoutError:  # not the built-in one before Python 3.11
            late = f"The URL took longer than {timeout_s:g} s (url_fetch.timeout_s)"
            raise UrlFetchFailed(late) from None
        except (httpx.HTTPError, OSError) as error:
            # Not its text: it may tell of the network inside.
            raise UrlFetchFailed(f"The URL could not be read: {type(error).__name__}") from None
        sniff(data)
        return data

    async def _follow(self, url: str, grow: Grow) -> bytes:
        client = httpx.AsyncClient(
            transport=self._transport(),
            timeout=self._settings.timeout_s,
            trust_env=False,  # a proxy would look the name up again
        )
        async with client:
            for _ in range(self._settings.max_redirects + 1):
                found = await self._ask(client, url, grow)
                if isinstance(found, bytes):
                    return found
                url = found
        most = self._settings.max_redirects
        raise LimitExceeded(
            "The number of redirects of the URL", most + 1, most, "url_fetch.max_redirects"
        )

    async def _ask(self, client: httpx.AsyncClient, url: str, grow: Grow) -> bytes | str:
        """The file, or where it is said to be."""
        target = target_of(url, self._settings)
        address = pinned(await self._resolve(target.host, target.port))
        request = client.build_request(
            "GET",
            target.at(address),
            headers={**HEADERS, "host": target.url.netloc.decode("ascii")},
            extensions={"sni_hostname": target.host},
        )
        response = await client.send(request, stream=True, follow_redirects=False)
        try:
            if response.is_redirect:
                return _next(target, response)
            return await self._read(response, grow)
        finally:
            await response.aclose()

    async def _read(self, response: httpx.Response, grow: Grow) -> bytes:
        if response.status_code != 200:
            raise UrlFetchFailed(f"The URL was answered with {response.status_code}")
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            raise UrlFetchFailed("The URL was answered with compressed bytes, unasked")
        self._check(declared_bytes(response.headers))
        buffer = io.BytesIO()
        async for chunk in response.aiter_raw():
            size = buffer.tell() + len(chunk)
            self._check(size)
            grow(size)
            buffer.write(chunk)
        return buffer.getvalue()

    def _check(self, size_bytes: int) -> None:
        most = self._settings.max_bytes
        if size_bytes > most:
            what = "The size in bytes of the file at the URL"
            raise RequestTooLarge(what, size_bytes, most, "url_fetch.max_bytes")


def _next(target: Target, response: httpx.Response) -> str:
    """Where a redirect points to, from the URL as it was asked for and not from the pinned one."""
    try:
        return str(target.url.join(response.headers["location"]))
    except (httpx.InvalidURL, ValueError):
        raise UrlFetchFailed("The URL redirects to something that is no URL") from None
