"""A server whose processes are killed: no engine may outlive it, busy or idle."""

from __future__ import annotations

import contextlib
from concurrent.futures import ThreadPoolExecutor

import httpx
import psutil
import pytest

from tests.documents import picture
from tests.e2e.busy import full_pages, wait_until_busy
from tests.e2e.server import app_args, running, shipped_config
from tests.e2e.waiting import eventually

pytestmark = pytest.mark.e2e

GONE_WITHIN_S = 5.0


def test_killing_the_process_tree_leaves_no_engine_behind() -> None:
    """SIGKILL for the command and all of Ray, at once; the engines are left to end themselves."""
    config = shipped_config()
    models = app_args(config)["models"]
    models["ocr"] |= {"max_concurrent_predictions": 1}
    models["ocr-idle"] = models["ocr"]
    with running(config) as server, ThreadPoolExecutor() as client:
        names = ("ocr", "ocr-idle")
        loading = [client.submit(server.parse, picture("png"), model=name) for name in names]
        assert [first.result().status_code for first in loading] == [200, 200]
        engines = server.engine_processes()
        (busy,) = server.engines_of("ocr")
        assert len(engines) == 2
        asked = client.submit(server.parse, full_pages(2), model="ocr")
        wait_until_busy(busy, asked)

        own = {process.pid for process in engines}
        tree = [psutil.Process(server.pid), *psutil.Process(server.pid).children(recursive=True)]
        for process in tree:
            if process.pid not in own:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()

        eventually(lambda: not server.engine_processes(), GONE_WITHIN_S, "no engine is left")
        server.assert_nothing_is_left()
        assert isinstance(asked.exception(), httpx.TransportError)
