"""A fresh server of its own: what it holds at the start, first requests, failures, crashes, Ctrl-C.

The models of its configuration differ in one key each; the tests that need a model that was never
loaded come first. The last one ends the server.
"""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import psutil
import pytest

from tests.documents import (
    damaged_pdf,
    encoded,
    encrypted_pdf,
    huge_page_pdf,
    picture,
    pixel_bomb_png,
    text_pdf,
    text_picture,
    thin_png,
    tiff,
    truncated,
)
from tests.e2e.busy import LINE, LINES, full_pages, wait_until_busy
from tests.e2e.server import Server, app_args, running, shipped_config
from tests.e2e.waiting import eventually

pytestmark = pytest.mark.e2e

CLIENTS = 20
MAX_PAGES = 12
MAX_REQUEST_BYTES = 2**20
IDLE_TIMEOUT_S = 1.0
REFUSED_WITHIN_S = 1.0


@pytest.fixture(scope="module")
def cold() -> Iterator[Server]:
    """A server with small limits, and models of which none was used before."""
    config = shipped_config()
    args = app_args(config)
    shipped = args["models"]["ocr"]
    single = {**shipped, "max_concurrent_predictions": 1}
    args["models"] |= {
        "ocr-single": single,
        "ocr-double": {**shipped, "max_concurrent_predictions": 2},
        "ocr-brief": {**single, "idle_timeout_s": IDLE_TIMEOUT_S},
    }
    args["limits"] |= {"max_pages": MAX_PAGES, "max_request_bytes": MAX_REQUEST_BYTES}
    with running(config) as server:
        yield server


# ---- Before the first page -------------------------------------------------------------------


def test_a_start_says_a_dozen_lines_and_where_the_rest_is(cold: Server) -> None:
    eventually(lambda: any("ready after" in line for line in cold.said()), 30, "it says so")
    said = cold.said()
    assert len(said) <= 12
    assert all(line.startswith("ocr-serve: ") for line in said)
    assert any(line.startswith("ocr-serve:   log: ") for line in said)


def test_a_fresh_start_holds_no_engine(cold: Server) -> None:
    assert cold.engine_processes() == []
    assert {model["state"] for model in cold.models().values()} == {"UNLOADED"}
    assert all(model["engines"] == [] for model in cold.models().values())


REFUSED: list[tuple[str, bytes, dict[str, str], int, str, str | None]] = [
    ("empty", b"", {}, 422, "empty_file", None),
    ("text", b"Hello, this is no picture.", {}, 422, "unsupported_file", None),
    ("damaged", damaged_pdf(), {}, 422, "invalid_file", None),
    ("encrypted", encrypted_pdf(), {}, 422, "encrypted_file", None),
    ("bomb", pixel_bomb_png(), {}, 422, "image_too_large", "limits."),
    ("thin", thin_png(), {}, 422, "image_too_large", "limits.max_aspect_ratio"),
    ("huge page", huge_page_pdf(500_000), {}, 422, "image_too_large", "documents."),
    ("pages", text_pdf(MAX_PAGES + 1), {}, 422, "too_many_pages", "limits.max_pages"),
    ("frames", tiff([(64, 48)] * (MAX_PAGES + 1)), {}, 422, "too_many_pages", "limits.max_pages"),
    ("model", text_pdf(1), {"model": "ocr-latin"}, 422, "unknown_model", None),
    ("range", text_pdf(2), {"pages": "2-3"}, 422, "invalid_request", None),
    ("syntax", text_pdf(2), {"pages": "one"}, 422, "invalid_request", None),
    ("option", text_pdf(2), {"fromat": "text"}, 422, "invalid_request", None),
    (
        "size",
        bytes(MAX_REQUEST_BYTES + 1),
        {},
        413,
        "request_too_large",
        "limits.max_request_bytes",
    ),
]


@pytest.mark.parametrize(
    ("data", "query", "status", "code", "config_key"),
    [case[1:] for case in REFUSED],
    ids=[case[0] for case in REFUSED],
)
def test_what_cannot_be_read_is_refused_at_once_and_loads_nothing(
    cold: Server,
    reading: None,
    data: bytes,
    query: dict[str, str],
    status: int,
    code: str,
    config_key: str | None,
) -> None:
    before = {process.pid for process in cold.engine_processes()}
    started = time.monotonic()
    answer = cold.parse(data, **query)
    elapsed_s = time.monotonic() - started
    assert (answer.status_code, error_of(answer)["code"]) == (status, code), answer.text
    if config_key is not None:
        assert error_of(answer)["config_key"].startswith(config_key)
    assert elapsed_s < REFUSED_WITHIN_S
    assert {process.pid for process in cold.engine_processes()} == before


@pytest.fixture(scope="module")
def reading(cold: Server) -> None:
    """The gateway's reader of documents, which starts with the first file, is there."""
    cold.parse(damaged_pdf())


def test_paddlexs_routes_refuse_in_paddlexs_words(cold: Server, reading: None) -> None:
    answer = cold.http.post("/ocr", json={"file": "aGVsbG8=", "logId": "one"})
    assert answer.status_code == 422
    assert answer.json() == {"logId": "one", "errorCode": 422, "errorMsg": "Invalid input file"}
    assert cold.http.post("/layout-parsing", json={}).status_code == 422
    for file in ("not base64 !", "data:image/png;base64,%%%", "A"):
        assert cold.http.post("/ocr", json={"file": file}).status_code == 422
    deep, kind = b'{"file":' + b"[" * 5000, {"content-type": "application/json"}
    assert cold.http.post("/ocr", content=deep, headers=kind).status_code == 422
    assert cold.http.post("/nowhere", json={}).json()["errorCode"] == 404


# ---- The first pages -------------------------------------------------------------------------


@pytest.mark.parametrize(("model", "most"), [("ocr-single", 1), ("ocr-double", 2)])
def test_twenty_concurrent_first_requests_load_the_model_once(
    cold: Server, model: str, most: int
) -> None:
    """Once per engine that the configuration allows; the second only after a page has waited."""
    file = encoded(text_picture("Hello 42", width=640, height=160), "png")
    with ThreadPoolExecutor(CLIENTS) as clients:
        asked = [clients.submit(cold.parse, file, model=model, format="text") for _ in range(20)]
        answers = [future.result() for future in asked]
    assert {(answer.status_code, answer.text) for answer in answers} == {(200, "Hello 42\n")}
    loaded = {event["pid"] for event in cold.events("model loaded", model=model)}
    assert 1 <= len(loaded) <= most
    assert len(cold.events("model loaded", model=model)) == len(loaded)
    assert cold.engines_of(model) == loaded
    served = cold.events("page done", model=model, outcome="success")
    assert len(served) == CLIENTS
    assert {event["engine_pid"] for event in served} <= loaded
    assert loaded <= {process.pid for process in cold.engine_processes()}


def test_a_body_that_is_cut_off_is_a_typed_error_and_the_engine_lives_on(cold: Server) -> None:
    """Its headers are sound, so that only the engine finds out, when it decodes the picture."""
    assert cold.parse(picture("png"), model="ocr-single").status_code == 200
    engines = cold.engines_of("ocr-single")
    answer = cold.parse(truncated(picture("png", 640, 480)), model="ocr-single")
    assert (answer.status_code, error_of(answer)["code"]) == (422, "invalid_file")
    assert cold.engines_of("ocr-single") == engines


# ---- Crashes and disconnects -----------------------------------------------------------------


def test_killing_an_engine_in_the_middle_of_a_page_costs_one_retry(cold: Server) -> None:
    model = "ocr-single"
    assert cold.parse(picture("png"), model=model).status_code == 200
    (victim,) = cold.engines_of(model)
    with ThreadPoolExecutor() as client:
        asked = client.submit(cold.parse, full_pages(1), model=model, format="text")
        wait_until_busy(victim, asked)
        os.kill(victim, signal.SIGKILL)
        answer = asked.result()
    assert answer.status_code == 200, answer.text
    assert answer.text.count(LINE) == LINES
    (crash,) = cold.events("engine failed under a page", model=model)
    assert (crash["engine_pid"], crash["attempt"]) == (victim, 1)
    (heir,) = cold.engines_of(model)
    assert heir != victim
    last = cold.events("page done", model=model, outcome="success")[-1]
    assert (last["engine_pid"], last["attempt"]) == (heir, 2)
    assert not psutil.pid_exists(victim)


def test_a_client_that_leaves_costs_at_most_the_page_that_runs(cold: Server) -> None:
    """References going back to 0 shows in the model being unloaded when it has been idle."""
    model = "ocr-brief"
    pages = MAX_PAGES
    assert cold.parse(picture("png"), model=model).status_code == 200
    before = len(cold.events("page done", model=model, outcome="success"))

    with open_request(cold, f"/v1/parse?model={model}", full_pages(pages)):
        eventually(
            lambda: len(cold.events("page done", model=model, outcome="success")) > before,
            60,
            "a first page",
        )
    answer = cold.parse(text_pdf(1), model="ocr-single", format="text")

    assert answer.status_code == 200, answer.text
    eventually(
        lambda: cold.events("model unloaded", model=model, reason="idle"), 60, "it is unloaded"
    )
    # One was done, the next one was running; the log line of a page may come a moment late.
    done = len(cold.events("page done", model=model, outcome="success")) - before
    assert 1 <= done <= 3 < pages
    assert cold.models()[model]["state"] == "UNLOADED"


# ---- The end ---------------------------------------------------------------------------------


def test_ctrl_c_in_the_middle_of_a_page_leaves_no_process(cold: Server) -> None:
    assert cold.parse(picture("png"), model="ocr-single").status_code == 200
    (engine,) = cold.engines_of("ocr-single")
    with ThreadPoolExecutor() as client:
        asked = client.submit(cold.parse, full_pages(1), model="ocr-single")
        wait_until_busy(engine, asked)
        returncode = cold.interrupt()
        # Drained or refused, but the client is not left hanging.
        assert asked.exception() is None or isinstance(asked.exception(), httpx.TransportError)
    assert returncode == 0, cold.output()
    assert all(line.startswith("ocr-serve: ") for line in cold.said()), "not the log"
    cold.assert_nothing_is_left()


# ---- Helpers ---------------------------------------------------------------------------------


def error_of(answer: httpx.Response) -> dict[str, Any]:
    """The error in our envelope."""
    error: dict[str, Any] = answer.json()["error"]
    return error


def open_request(server: Server, path: str, body: bytes) -> socket.socket:
    """A request whose answer nobody waits for; closing the socket is the client's leaving."""
    host, port = server.http.base_url.host, server.http.base_url.port
    head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(body)}\r\n\r\n"
    connection = socket.create_connection((host, port or 80))
    connection.sendall(head.encode() + body)
    return connection
