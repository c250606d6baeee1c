from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve_app.errors import UrlRefused
from serve_app.policy.url_guard import is_public, pinned, target_of
from serve_app.settings import UrlFetchSettings

OPEN = UrlFetchSettings(enabled=True)

PRIVATE = [
    "0.0.0.0",
    "10.1.2.3",
    "100.64.0.1",
    "100.100.100.200",  # Alibaba's metadata
    "127.0.0.1",
    "127.9.9.9",
    "168.63.129.16",  # Azure's
    "169.254.0.1",
    "169.254.169.254",  # everybody's
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.192",
    "192.0.2.1",
    "192.168.1.1",
    "198.18.0.1",
    "224.0.0.1",
    "239.1.1.1",
    "240.0.0.1",
    "255.255.255.255",
]
PRIVATE_6 = [
    "::",
    "::1",
    "::7f00:1",
    "fc00::1",
    "fd00:ec2::254",  # AWS's metadata
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
    "2001:db8::1",
]
PUBLIC = ["8.8.8.8", "93.184.216.34", "172.32.0.1", "2606:4700::1111", "2001:4860:4860::8888"]


@pytest.mark.parametrize("address", [*PRIVATE, *PRIVATE_6])
def test_addresses_that_are_not_spoken_to(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses(address: str) -> None:
    assert is_public(address)


def wrapped(address: str) -> list[str]:
    number = int(ipaddress.IPv4Address(address))
    top, low = number >> 16, number & 0xFFFF
    return [
        f"::ffff:{address}",
        f"64:ff9b::{top:x}:{low:x}",
        f"2002:{top:x}:{low:x}::1",
        f"2001:0:{top:x}:{low:x}::1",
    ]


@pytest.mark.parametrize("address", PRIVATE)
def test_a_private_address_is_found_in_every_wrapping(address: str) -> None:
    assert [it for it in wrapped(address) if is_public(it)] == []


def test_a_public_address_may_be_mapped() -> None:
    assert is_public("::ffff:8.8.8.8")
    assert is_public("64:ff9b::808:808")


@given(st.ip_addresses(v=4, network="10.0.0.0/8") | st.ip_addresses(v=4, network="127.0.0.0/8"))
def test_no_address_of_a_private_network_passes(address: ipaddress.IPv4Address) -> None:
    assert not any(is_public(it) for it in (str(address), *wrapped(str(address))))


@given(st.text(max_size=40))
def test_what_is_no_address_is_not_public(text: str) -> None:
    try:
        ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        assert not is_public(text)


def test_one_private_address_among_public_ones_is_enough_to_refuse() -> None:
    assert pinned(["8.8.8.8", "8.8.4.4"]) == "8.8.8.8"
    for addresses in (["8.8.8.8", "10.0.0.1"], ["10.0.0.1", "8.8.8.8"], []):
        with pytest.raises(UrlRefused, match="not on the public internet"):
            pinned(addresses)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("ftp://example.com/a", "Only http and https"),
        ("file:///etc/passwd", "Only http and https"),
        ("gopher://example.com", "Only http and https"),
        ("http://", "Only http and https"),
        ("http://user@example.com/", "user name"),
        ("http://user:word@example.com/", "user name"),
        ("http://example.com:22/", r"Port 22 .*url_fetch\.ports"),
        ("http://example.com:6379/", "Port 6379"),
        ("http://example.com:99999/", "not a URL|Port 99999"),
        ("http://[::1/", "not a URL"),
    ],
)
def test_urls_that_are_refused(url: str, message: str) -> None:
    with pytest.raises(UrlRefused, match=message):
        target_of(url, OPEN)


def test_what_a_url_points_to() -> None:
    target = target_of("https://EXAMPLE.com/a/b?c=d#e", OPEN)
    assert (target.host, target.port) == ("example.com", 443)
    assert str(target.at("8.8.8.8")) == "https://8.8.8.8/a/b?c=d"
    assert str(target.at("2606:4700::1111")) == "https://[2606:4700::1111]/a/b?c=d"
    assert target_of("http://[::1]/", OPEN).host == "::1"


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("files.example.com", True),
        ("FILES.example.com", True),
        ("cdn.example.org", True),
        ("example.org", True),
        ("evilexample.org", False),
        ("example.com", False),
        ("x.files.example.com", False),
        ("files.example.com.evil.net", False),
        ("8.8.8.8", False),
    ],
)
def test_hosts_that_are_allowed(host: str, allowed: bool) -> None:
    settings = UrlFetchSettings(allowed_hosts=("files.example.com", ".Example.org"))
    if allowed:
        assert target_of(f"https://{host}/x", settings).host == host.lower()
    else:
        with pytest.raises(UrlRefused, match=r"url_fetch\.allowed_hosts"):
            target_of(f"https://{host}/x", settings)
