"""SPEC.md, row 3, in bytes: what a model took is given back, again and again.

The first file of this folder, so that nothing was loaded in the server before.
"""

from __future__ import annotations

import time

import psutil
import pytest

from tests.documents import damaged_pdf, encoded, text_picture
from tests.e2e.server import Server
from tests.e2e.waiting import eventually
from tests.processes import smaps_bytes
from tests.spec.scene import IDLE_TIMEOUT_S

pytestmark = [pytest.mark.spec, pytest.mark.slow]

HELLO = encoded(text_picture("Hello 42"), "png")
MIB = 2**20
TOLERANCE_BYTES = 50 * MIB
SAMPLES, SAMPLE_S = 5, 0.2


@pytest.mark.parametrize("rounds", [3, pytest.param(10, marks=pytest.mark.long)])
def test_row_03_rounds_of_structure_give_their_memory_back(server: Server, rounds: int) -> None:
    """WHEN unloaded THEN within 50 MB of the time before the first load, again and again."""
    # The gateway's reader of headers stays once it was needed; it is no part of a model.
    assert server.parse(damaged_pdf()).status_code == 422
    before = quiet_bytes(server)
    # Read at once: it is idle from now on, and may go while all the others are read.
    assert held_bytes(use(server)) > 2 * TOLERANCE_BYTES
    eventually(lambda: not server.engine_processes(), IDLE_TIMEOUT_S + 20, "the idle one goes")
    first = quiet_bytes(server)
    assert first <= before + TOLERANCE_BYTES
    use(server)
    order(server, "unload")
    for _ in range(rounds - 3):
        order(server, "load")
        assert len(server.engine_processes()) == 1
        order(server, "unload")
        assert not server.engine_processes()
    use(server)
    order(server, "unload")
    last = quiet_bytes(server)
    told = (f"{held / MIB:.0f}" for held in (before, first, last))
    print(f"MiB before, after one round and after {rounds}:", *told)
    assert last <= first + TOLERANCE_BYTES


def use(server: Server) -> psutil.Process:
    """One page, on an engine that is loaded for it: its process."""
    answer = server.parse(HELLO, model="structure")
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-ocr-cold"] == "true"
    (engine,) = server.engine_processes()
    return engine


def order(server: Server, action: str) -> None:
    """The operator's."""
    path = f"/v1/models/structure/{action}"
    answer = server.http.post(path, params={"timeout_s": "60"})
    assert answer.status_code == 200, answer.text


def quiet_bytes(server: Server) -> int:
    """What the server's processes hold: the least of some readings, since what is passing ends."""
    readings = []
    for _ in range(SAMPLES):
        readings.append(sum(map(held_bytes, server.processes())))
        time.sleep(SAMPLE_S)
    return min(readings)


def held_bytes(process: psutil.Process) -> int:
    """But for pages of files: those stay in the page cache, for all."""
    return smaps_bytes(process, "Pss_Anon", "Pss_Shmem")
