"""Where a server listens, and how this machine asks it."""

from __future__ import annotations

import http.client
import ipaddress
import socket
import ssl
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

EVERY_ADDRESS = "0.0.0.0"  # nosec B104  # Serve's default, where a configuration names none


@dataclass(frozen=True)
class Endpoint:
    """Where the proxy listens, and how this machine reaches it."""

    host: str = EVERY_ADDRESS
    port: int = 8000
    scheme: str = "http"
    prefix: str = ""

    @classmethod
    def of(cls, config: dict[str, Any]) -> Endpoint:
        """The endpoint of a checked Serve configuration, with Serve's defaults."""
        options = config.get("http_options") or {}
        return cls(
            options.get("host", cls.host),
            options.get("port", cls.port),
            "https" if options.get("ssl_certfile") else "http",
            (config["applications"][0].get("route_prefix") or "").rstrip("/"),
        )

    @property
    def url(self) -> str:
        """The base URL of the application, from this machine."""
        host = {EVERY_ADDRESS: "127.0.0.1", "::": "::1"}.get(self.host, self.host)
        host = f"[{host}]" if ":" in host else host
        return f"{self.scheme}://{host}:{self.port}{self.prefix}"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine reaches it."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    def is_free(self) -> bool:
        """Whether the port can be bound now."""
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            # As the proxy does it: connections of the last run in TIME_WAIT do not count.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((self.host, self.port))
            except OSError:
                return False
        return True


def asks_for_loopback(file: Path) -> bool:
    """Whether only this machine is to reach the server. No for a broken file, refused later."""
    try:
        return Endpoint.of(yaml.safe_load(file.read_text(encoding="utf-8"))).is_loopback
    except (OSError, ValueError, yaml.YAMLError, AttributeError, LookupError, TypeError):
        return False


def answers_ok(url: str, timeout_s: float = 5.0) -> bool:
    """Whether a GET of the URL answers 200 with JSON, as a probe of ours does.

    Another server may have taken the port meanwhile: one for metrics answers every path with text.
    """
    # Our own port: no proxy of the environment, and its certificate need not name this host.
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    handlers = urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
    try:
        with urllib.request.build_opener(*handlers).open(url, timeout=timeout_s) as answer:
            is_json = answer.headers.get_content_type() == "application/json"
            return bool(answer.status == 200 and is_json)
    except (OSError, http.client.HTTPException):
        return False
