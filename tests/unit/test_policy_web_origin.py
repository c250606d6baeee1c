"""Which Host headers name this server, and which requests an untrusted page has a browser send."""

from __future__ import annotations

import pytest

from serve_app.policy.web_origin import is_from_elsewhere, is_loopback, is_our_host

ALLOWED = (".svc", "ocr.example.com", ".internal.example.com")


@pytest.mark.parametrize(
    "netloc",
    [
        "localhost",
        "localhost:8000",
        "LOCALHOST:8000",
        "localhost.",
        "ocr.localhost:8000",
        "127.0.0.1",
        "127.0.0.1:8000",
        "10.244.3.7:8000",
        "192.168.1.20",
        "[::1]:8000",
        "[2001:db8::1]",
        "ocr-serve-serve-svc:8000",
        "ocr",
        "ocr-serve-serve-svc.ocr.svc:8000",
        "ocr.example.com",
        "OCR.example.com:443",
        "a.internal.example.com",
        "internal.example.com",
    ],
)
def test_a_name_that_no_stranger_can_hold_is_ours(netloc: str) -> None:
    assert is_our_host(netloc, ALLOWED)


@pytest.mark.parametrize(
    "netloc",
    [
        "evil.example",
        "evil.example:8000",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "127.0.0.1.nip.io",
        "ocr.example.com.evil.example",
        "xinternal.example.com",
        "evilsvc.example",
        "user@localhost",
        "localhost/evil",
        "localhost?x",
        "localhost#x",
        "localhost:port",
        "localhost:99999999",
        "local\thost",
        "",
        ":8000",
        "[::1",
    ],
)
def test_any_other_host_is_refused(netloc: str) -> None:
    assert not is_our_host(netloc, ALLOWED)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.8.9.10", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("10.0.0.1", False),
        ("::ffff:10.0.0.1", False),
        ("testclient", False),
        (None, False),
    ],
)
def test_what_is_this_machine(host: str | None, expected: bool) -> None:
    assert is_loopback(host) is expected


HOST = "localhost:8000"


@pytest.mark.parametrize(
    ("origin", "fetch_site"),
    [
        (None, None),  # no browser
        (None, "none"),  # typed by a person
        (None, "same-origin"),
        ("http://localhost:8000", "same-origin"),
        ("HTTP://LOCALHOST:8000", None),
        ("https://app.example.com", "cross-site"),  # allowed below
    ],
)
def test_programs_people_and_our_own_pages_may(origin: str | None, fetch_site: str | None) -> None:
    assert not is_from_elsewhere(origin, fetch_site, HOST, ("https://app.example.com",))


@pytest.mark.parametrize(
    ("origin", "fetch_site"),
    [
        (None, "cross-site"),
        ("https://evil.example", None),
        ("https://evil.example", "same-origin"),
        ("http://localhost:3000", "same-site"),
        ("http://localhost", None),
        ("http://127.0.0.1:8000", None),
        ("null", None),
        ("", None),
        ("file://", None),
        ("chrome-extension://abcdef", None),
        ("http://localhost:8000.evil.example", None),
        ("http://localhost:8000@evil.example", None),
        ("https://app.example.com.evil.example", None),
    ],
)
def test_pages_of_other_sites_may_not(origin: str | None, fetch_site: str | None) -> None:
    assert is_from_elsewhere(origin, fetch_site, HOST, ("https://app.example.com",))


def test_a_proxy_that_ends_tls_does_not_make_our_page_a_strangers() -> None:
    assert not is_from_elsewhere("https://ocr.example.com", None, "ocr.example.com", ())
    assert not is_from_elsewhere("https://ocr.example.com", None, "ocr.example.com:443", ())
    assert is_from_elsewhere("https://ocr.example.com:8443", None, "ocr.example.com", ())
