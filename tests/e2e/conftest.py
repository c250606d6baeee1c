"""The server that most end-to-end tests share: the shipped configuration, as users start it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.server import Server, running, shipped_config


@pytest.fixture(scope="package")
def server() -> Iterator[Server]:
    """A running server with ``configs/local.yaml``; at the end nothing of it may be left."""
    with running(shipped_config()) as server:
        yield server
