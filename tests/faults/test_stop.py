"""SIGTERM under load: what runs is finished, what waits is answered, and nothing is left."""

from __future__ import annotations

import os
import signal
import time

import psutil
import pytest

from tests.e2e.ledger import temporary_files
from tests.e2e.server import STOP_TIMEOUT_S
from tests.e2e.waiting import eventually
from tests.faults.scene import engine_pids, fault_config, page, running_with_faults
from tests.faults.traffic import RETRYABLE, traffic

pytestmark = [pytest.mark.faults, pytest.mark.slow]

CLIENTS = 4


def test_sigterm_drains_and_leaves_nothing() -> None:
    files = temporary_files()
    with running_with_faults(fault_config()) as server:
        eventually(lambda: server.parse(page()).status_code == 200, 30, "a page is answered")
        with traffic(
            server, lambda chance: page(sleep_s=0.5), clients=CLIENTS, timeout_s=60, pause_s=0.1
        ) as seen:
            eventually(lambda: len(seen.served()) >= 2 * CLIENTS, 30, "requests are answered")
            assert engine_pids(server)
            asked, command = time.monotonic(), psutil.Process(server.pid)
            os.kill(server.pid, signal.SIGTERM)
            command.wait(STOP_TIMEOUT_S)
            print(f"stopped after {time.monotonic() - asked:.1f} s")
        # Those that were on their way when it was told to stop.
        under_way = [one for one in seen.requests if one.began < asked < one.ended]
        print([(one.status, one.code) for one in under_way])
        assert under_way
        assert {one.status for one in under_way} == {200}
        # Later ones: refused, or nobody listens any more.
        later = [one for one in seen.requests if one.began > asked + 1]
        assert later, "nobody asked after it was told to stop"
        assert {one.status for one in later} <= {None, *RETRYABLE}
        assert all(one.code == "server_stopping" for one in later if one.status == 503)
        server.assert_nothing_is_left()
        eventually(lambda: temporary_files() <= files, 5, "no temporary file is left")
