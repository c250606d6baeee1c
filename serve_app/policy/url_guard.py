"""Which URLs may be fetched on behalf of a client, and which addresses may be spoken to. Pure.

A name is no protection: it can resolve to anything, and to something else a moment later. So the
address counts, it is looked up once, and the connection is made to that very address.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import httpx

from serve_app.errors import UrlRefused
from serve_app.settings import UrlFetchSettings

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

DEFAULT_PORTS = {"http": 80, "https": 443}
# Beside what Python calls private, in some versions only in part.
NOT_PUBLIC = tuple(
    ipaddress.ip_network(network)
    for network in (
        "168.63.129.16/32",  # Azure's metadata, the only one on a public address
        "192.0.0.0/24",  # protocol assignments, Oracle's metadata among them
        "fec0::/10",  # site-local
    )
)
NAT64 = ipaddress.ip_network("64:ff9b::/96")


@dataclass(frozen=True, slots=True)
class Target:
    """A URL that may be fetched, if its address is public.

    Attributes:
        url: without fragment.
        host: ASCII, lower case, without brackets.
        port: TCP.
    """

    url: httpx.URL
    host: str
    port: int

    def at(self, address: str) -> httpx.URL:
        """The URL with the address in place of the name."""
        return self.url.copy_with(host=address)


def target_of(text: str, settings: UrlFetchSettings) -> Target:
    """What a URL points to.

    Raises:
        UrlRefused: it is none, or not one that the settings allow.
    """
    try:
        url = httpx.URL(text)
        host, port = url.raw_host.decode("ascii").strip("[]").lower(), url.port
    except (httpx.InvalidURL, ValueError):
        raise UrlRefused("It is not a URL that can be read") from None
    if url.scheme not in DEFAULT_PORTS or not host:
        raise UrlRefused("Only http and https URLs are fetched")
    if url.userinfo:
        raise UrlRefused("A URL with a user name or a password is not fetched")
    port = port or DEFAULT_PORTS[url.scheme]
    if port not in settings.ports:
        raise UrlRefused(f"Port {port} is not one to fetch from (url_fetch.ports)")
    if not _is_allowed(host, settings.allowed_hosts):
        raise UrlRefused("This host is not one to fetch from (url_fetch.allowed_hosts)")
    return Target(url.copy_with(fragment=None), host, port)


def pinned(addresses: Sequence[str]) -> str:
    """The address to connect to: the first one, if all of them are public.

    Raises:
        UrlRefused: one of them is not, or there is none.
    """
    if not addresses or not all(is_public(address) for address in addresses):
        raise UrlRefused("This host is not on the public internet")
    return addresses[0]


def is_address(host: str) -> bool:
    """Whether it is one, and no name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def is_public(text: str) -> bool:
    """Whether an address, and every IPv4 address wrapped in it, is one of the public internet."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return all(
        it.is_global
        and not (it.is_multicast or it.is_reserved)
        and not any(it in network for network in NOT_PUBLIC)
        for it in _meant(address)
    )


def _meant(address: Address) -> Iterator[Address]:
    """What may be spoken to: the address, or the IPv4 ones that a kernel or gateway makes of it."""
    if not isinstance(address, ipaddress.IPv6Address):
        yield address
    elif address.ipv4_mapped:
        yield address.ipv4_mapped
    elif address in NAT64:
        yield ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    else:
        yield address
        if address.sixtofour:
            yield address.sixtofour
        if address.teredo:
            yield from address.teredo


def _is_allowed(host: str, allowed: Sequence[str]) -> bool:
    """``.example.com`` stands for that host and all below it."""
    return not allowed or any(
        host == name.lstrip(".") or (name.startswith(".") and host.endswith(name))
        for name in (name.lower() for name in allowed)
    )
