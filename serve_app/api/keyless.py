"""Who may ask where no key is asked for: people here, programs, no foreign web pages.

The reasons for the two checks of a browser's requests are in ``policy/web_origin.py``. An
operator's routes are for this machine only: for a connection from a loopback address, or where the
server listens on nothing else. A request that a proxy has passed on says so in its headers, and is
not from here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from starlette.requests import Request

from serve_app.errors import HostRefused, KeysNeeded, OriginRefused
from serve_app.policy.web_origin import is_from_elsewhere, is_loopback, is_our_host
from serve_app.settings import GatewaySettings

PASSED_ON = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")


@dataclass(frozen=True, slots=True)
class Listening:
    """Where requests come in.

    Attributes:
        host: that the server listens on; None: not known.
        sees_peers: whether ``scope["client"]`` is who has connected to the server. With HAProxy in
            place of Serve's proxy it is HAProxy.
    """

    host: str | None = None
    sees_peers: bool = True


class Keyless:
    """The checks in place of a key.

    Args:
        settings: what else may be asked for, and by which pages.
        listening: where requests come in.
    """

    def __init__(self, settings: GatewaySettings, listening: Listening) -> None:
        self._origins, self._listening = settings.allowed_origins, listening
        own = () if listening.host is None else (listening.host,)
        self._hosts = (*settings.allowed_hosts, *own)

    def admit(self, request: Request, role: Literal["client", "operator"]) -> None:
        """Let it in, or not.

        Raises:
            HostRefused: it asks for a host that this is not.
            OriginRefused: a page of another site asks.
            KeysNeeded: an operator's route, from another machine.
        """
        hosts = request.headers.getlist("host")
        if len(hosts) > 1 or (hosts and not is_our_host(hosts[0], self._hosts)):
            raise HostRefused(
                "The Host header is no name of this server. Where no API key is asked for, other "
                "names than addresses and localhost have to be in gateway.allowed_hosts"
            )
        host = hosts[0] if hosts else None
        origin = request.headers.get("origin")
        fetch_site = request.headers.get("sec-fetch-site")
        if is_from_elsewhere(origin, fetch_site, host, self._origins):
            raise OriginRefused(
                "A web page of another site asks. Where no API key is asked for, its origin has to "
                "be in gateway.allowed_origins"
            )
        if role == "operator" and not self.is_near(request):
            raise KeysNeeded(
                "Without API keys this route is for the server's own machine only: turn on "
                "auth.required and send an operator's key"
            )

    def is_near(self, request: Request) -> bool:
        """Whether it comes from this machine."""
        if any(name in request.headers for name in PASSED_ON):
            return False
        if is_loopback(self._listening.host):
            return True
        client = request.client
        return self._listening.sees_peers and client is not None and is_loopback(client.host)
