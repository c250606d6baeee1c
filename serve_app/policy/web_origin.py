"""Whether a request may come from a web page that is not ours. Pure.

Where no key is asked for, a browser that can reach the server is a way in for every page that it
shows. Two checks stop that, and cost those nothing who are no browser:

- ``Host`` has to be a name that no foreign DNS can claim (DNS rebinding makes a page's own name
  resolve to this server): an address, ``localhost``, a name without a dot, or one that is allowed;
- a request that a browser marks as another site's (``Origin``, ``Sec-Fetch-Site``) is refused.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from urllib.parse import urlsplit

DEFAULT_PORTS = {"http": 80, "https": 443}


def split_host(netloc: str) -> tuple[str, int | None] | None:
    """Name (lower case, no brackets, no last dot) and port of a Host header; None if it is none."""
    try:
        parts = urlsplit(f"//{netloc}")
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    if not host or parts.netloc != netloc or parts.username is not None:
        return None
    if parts.path or parts.query or parts.fragment:
        return None
    return host.rstrip("."), port


def is_our_host(netloc: str, allowed: Sequence[str]) -> bool:
    """Whether a Host header names this server.

    Args:
        allowed: further names; ``.example.com`` stands for that and all below it.
    """
    split = split_host(netloc)
    if split is None:
        return False
    host = split[0]
    if is_address(host) or "." not in host or host.endswith(".localhost"):
        return True
    return any(_matches(host, name.lower()) for name in allowed)


def _matches(host: str, name: str) -> bool:
    return host == name.lstrip(".") or (name.startswith(".") and host.endswith(name))


def is_address(host: str) -> bool:
    """Whether it is an IP address, which no DNS can turn into another one."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def is_loopback(host: str | None) -> bool:
    """Whether it is this machine's own address or name."""
    if host is None:
        return False
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost"
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)


def is_from_elsewhere(
    origin: str | None, fetch_site: str | None, host: str | None, allowed: Sequence[str]
) -> bool:
    """Whether a browser sends the request for a page of another site.

    Args:
        origin: the header of that name; None: not sent.
        fetch_site: ``Sec-Fetch-Site``.
        host: the Host header: an Origin with the same name and port is ours, whatever its scheme,
            since a proxy before us may end TLS.
        allowed: origins that may.
    """
    if origin is not None:
        return origin not in allowed and not _is_same(origin, host)
    return fetch_site == "cross-site"


def _is_same(origin: str, host: str | None) -> bool:
    scheme, _, netloc = origin.partition("://")
    default = DEFAULT_PORTS.get(scheme.lower())
    ours, theirs = split_host(host or ""), split_host(netloc)
    if default is None or ours is None or theirs is None:
        return False
    return (ours[0], ours[1] or default) == (theirs[0], theirs[1] or default)
