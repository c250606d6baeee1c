"""Telling an untrusted URL something: guarded and pinned like what is fetched, never redirected."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Mapping

import httpx

from serve_app.api.url_fetch import Resolve, SystemResolver
from serve_app.policy.url_guard import pinned, target_of
from serve_app.settings import UrlFetchSettings

CONNECT_TIMEOUT_S = 5.0


class UrlPoster:
    """Posts small bodies.

    Args:
        settings: hosts and ports that may be spoken to.
        resolve, transport: see ``UrlFetcher``.
    """

    def __init__(
        self,
        settings: UrlFetchSettings,
        resolve: Resolve | None = None,
        transport: Callable[[], httpx.AsyncBaseTransport] | None = None,
    ) -> None:
        self._settings, self._resolve = settings, resolve or SystemResolver()
        if transport is None:
            context = ssl.create_default_context()

            def transport() -> httpx.AsyncBaseTransport:
                return httpx.AsyncHTTPTransport(verify=context)

        self._transport = transport

    async def __call__(
        self, url: str, body: bytes, headers: Mapping[str, str], timeout_s: float
    ) -> int:
        """The status of the answer, of which nothing else is read.

        Raises:
            UrlRefused: it is not to be spoken to.
            OSError, httpx.HTTPError, asyncio.TimeoutError: no answer.
        """
        return await asyncio.wait_for(self._post(url, body, headers), timeout_s)

    async def _post(self, url: str, body: bytes, headers: Mapping[str, str]) -> int:
        target = target_of(url, self._settings)
        address = pinned(await self._resolve(target.host, target.port))
        client = httpx.AsyncClient(
            transport=self._transport(),
            timeout=httpx.Timeout(None, connect=CONNECT_TIMEOUT_S),
            trust_env=False,  # a proxy would look the name up again
        )
        async with client:
            request = client.build_request(
                "POST",
                target.at(address),
                content=body,
                headers={**headers, "host": target.url.netloc.decode("ascii")},
                extensions={"sni_hostname": target.host},
            )
            response = await client.send(request, stream=True, follow_redirects=False)
            await response.aclose()
            return response.status_code
