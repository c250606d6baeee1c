"""`ocr-serve top`: what the routes answer, as text."""

from __future__ import annotations

import json

import httpx
import pytest
from rich.console import Console

from serve_app.client.machine import MachineClient, NoAnswer
from serve_app.client.top import screen, staying
from serve_app.command.cli import main

MIB, GIB = 2**20, 2**30
ENGINE = {"replica": "w1", "model": "structure", "facts": {"memory_bytes": 700 * MIB}}
DOMAIN = {
    "domain": "ram:0123456789ab",
    "kind": "ram",
    "level": "warning",
    "total_bytes": 8 * GIB,
    "used_bytes": 5 * GIB,
    "ours_bytes": 700 * MIB,
    "others_bytes": 4 * GIB,
    "budget_bytes": 2 * GIB,
    "reserved_bytes": 900 * MIB,
    "engines": [ENGINE],
}
MODEL = {
    "model": "structure",
    "state": "READY",
    "pinned": False,
    "idle_timeout_s": 300.0,
    "references": 0,
    "waiting": 0,
    "memory_bytes": 700 * MIB,
    "copies": [{"idle_s": 40.0}],
}
POOL = {
    "device": "cpu",
    "replicas": 1,
    "level": "warning",
    "running": 1,
    "queued": 4,
    "drain_rate": 0.5,
}
ENDING = {"at": 95.0, "model": "ocr", "reason": "idle", "freed_bytes": 400 * MIB}
TASK = {
    "model": "structure",
    "page": 3,
    "outcome": "failed",
    "error": "engine_hung",
    "queue_s": 0.5,
    "load_s": 0.0,
    "run_s": 2.25,
    "estimate_bytes": 800 * MIB,
    "peak_bytes": 900 * MIB,
    "ratio": 1.125,
}
HISTORY = {
    "at": 100.0,
    "now": [DOMAIN],
    "models": [MODEL],
    "pools": {"cpu": POOL},
    "endings": [ENDING],
}


def client(status: int = 200, text: str | None = None) -> MachineClient:
    def answer(request: httpx.Request) -> httpx.Response:
        body = HISTORY if request.url.path.endswith("history") else {"tasks": [TASK]}
        return httpx.Response(status, text=json.dumps(body) if text is None else text)

    return MachineClient("http://test", "key", transport=httpx.MockTransport(answer))


def test_the_screen_tells_who_holds_what_and_for_how_long() -> None:
    console = Console(width=120, record=True, file=None, force_terminal=False)
    with console.capture() as captured:
        console.print(screen(client().look()))
    shown = captured.get()
    for wanted in (
        *("5.00 GiB of 8.00 GiB warning", "others 4.00 GiB", "structure 700 MiB"),
        *("reserved 900 MiB of 2.00 GiB", "260 s more", "engine_hung", "112%", "idle", "30"),
    ):
        assert wanted in shown, wanted
    assert shown.count("█") == 20 + 4, "of 40: half is the others', a twelfth is ours"


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"references": 2}, "in use"),
        ({"pinned": True}, "pinned"),
        ({"idle_timeout_s": -1}, "never unloaded"),
        ({"state": "UNLOADED"}, ""),
        ({}, "260 s more"),
    ],
)
def test_why_a_model_stays(changes: dict[str, object], why: str) -> None:
    assert staying({**MODEL, **changes}) == why


def test_a_server_that_does_not_tell_is_an_error_in_its_words() -> None:
    refused = json.dumps({"error": {"code": "forbidden", "message": "This route needs a key"}})
    with pytest.raises(NoAnswer, match="This route needs a key"):
        client(403, refused).look()
    with pytest.raises(NoAnswer, match="502, not JSON"):
        client(502, "<html>").look()


def test_nobody_there_is_one_line_and_exit_code_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["top", "--once", "--url", "http://127.0.0.1:1"]) == 1
    assert "does not answer" in capsys.readouterr().err
    assert main(["top", "--interval-s", "0"]) == 2
