"""Serve's tracing with the stages of our requests in it, on a real server with fake engines."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.server import Server
from tests.e2e.waiting import eventually
from tests.faults.scene import fault_config, pages, running_with_faults

pytestmark = [pytest.mark.integration, pytest.mark.slow]

PAGES = 2


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    config = fault_config()
    config["tracing_config"] = {"enabled": True, "sampling_ratio": 1.0}
    with running_with_faults(config) as server:
        yield server


def spans(server: Server) -> list[dict[str, Any]]:
    """What Serve's file exporter has written so far, in all processes."""
    found, decoder = [], json.JSONDecoder()
    for file in server.session_files("logs/serve/spans/*"):
        text = file.read_text(encoding="utf-8").lstrip()
        while text:
            try:
                span, end = decoder.raw_decode(text)
            except ValueError:  # it is being written
                break
            found.append(span)
            text = text[end:].lstrip()
    return found


def test_a_request_is_one_trace_with_a_span_per_stage(server: Server) -> None:
    """Of the first request, from the proxy to the engines, which it loads."""
    answer = server.parse(pages(PAGES))
    assert answer.status_code == 200, answer.text
    request_id = answer.headers["x-request-id"]

    def complete() -> list[dict[str, Any]]:
        told = [one for one in spans(server) if one["name"] == "run"]
        return told if len(told) == PAGES else []

    runs = eventually(complete, 20, "a span for each page's run")
    (trace_id,) = {run["context"]["trace_id"] for run in runs}
    own = [one for one in spans(server) if one["context"]["trace_id"] == trace_id]
    names = [one["name"] for one in own]
    assert names.count("inspect") == 1
    assert names.count("page") == names.count("queue") == PAGES
    assert names.count("load") >= 1
    assert {run["attributes"]["ocr.request_id"] for run in runs} == {request_id}
    assert {run["attributes"]["ocr.outcome"] for run in runs} == {"success"}

    by_id = {one["context"]["span_id"]: one for one in own}
    pages_seen = {one["context"]["span_id"] for one in own if one["name"] == "page"}
    for run in runs:  # the engine's work hangs below its page in the gateway
        above = []
        parent = run["parent_id"]
        while parent in by_id:
            above.append(parent)
            parent = by_id[parent]["parent_id"]
        assert pages_seen & set(above)


def test_spans_hold_no_document_text(server: Server) -> None:
    server.parse(pages(1), format="text")
    text = json.dumps(spans(server))
    assert "fault" not in text
    assert "document" not in text
