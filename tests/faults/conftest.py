"""One server for the faults that do not end it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.server import Server
from tests.e2e.waiting import eventually
from tests.faults.scene import Before, fault_config, page, running_with_faults


@pytest.fixture(scope="package")
def faulty_server() -> Iterator[Server]:
    config = fault_config(cancel={"running": "kill", "grace_s": 0.2})
    with running_with_faults(config) as server:
        yield server


@pytest.fixture
def before(faulty_server: Server) -> Before:
    """The server with a loaded engine, at rest."""
    eventually(lambda: faulty_server.parse(page()).status_code == 200, 30, "a page is answered")
    return Before.of(faulty_server)
