"""``ray.env``: a variable that Ray does not know does nothing, and says nothing."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

from serve_app.command.environment import FIXED

SERVES = [name for name in FIXED if name.startswith("RAY_SERVE_")]


def source_of(module: str, file: str) -> str:
    spec = find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    return (Path(spec.origin).parent / file).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", SERVES)
def test_ray_serve_reads_it(name: str) -> None:
    assert f'"{name}"' in source_of("ray", "serve/_private/constants.py")


def test_haproxy_bounds_headers_connections_and_silence() -> None:
    limits = {
        name.removeprefix("RAY_SERVE_HAPROXY_"): int(FIXED[name])
        for name in SERVES
        if "_HAPROXY_" in name
    }
    assert limits["TUNE_BUFSIZE"] <= 64 * 1024
    assert limits["MAXCONN"] <= 10_000
    assert 10 < limits["TIMEOUT_CLIENT_S"] <= 60
    template = source_of("ray", "serve/_private/haproxy_templates.py")
    for line in ("tune.bufsize {{ config.bufsize", "timeout client {{ config.timeout_client_s"):
        assert line in template


def test_nobody_is_believed_about_the_address_of_another() -> None:
    assert FIXED["FORWARDED_ALLOW_IPS"] == ""
    assert "FORWARDED_ALLOW_IPS" in source_of("uvicorn", "config.py")
