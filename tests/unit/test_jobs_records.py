"""Records of jobs as text: what older and newer servers have written is read alike."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from serve_app.document import DocumentInfo, OnPageError, PageInfo, PredictOptions, RequestIds
from serve_app.jobs.records import JobSpec, spec_from_text, spec_to_text
from tests.unit.job_store_contract import a_job

SPEC = JobSpec(
    DocumentInfo("tiff", (PageInfo(0, 10, 20), PageInfo(1, 30, 40))),
    (1, 0),
    PredictOptions({"layout_unclip_ratio": (1.0, 2.0)}, text_layer="only"),
    {"format": "json"},
    "a.tif",
)
# As the first version that had jobs wrote it: the request's policy among the options.
OLD = """
{"info": {"kind": "tiff", "pages": [{"index": 0, "width": 10, "height": 20, "dpi": null},
                                    {"index": 1, "width": 30, "height": 40}]},
 "pages": [1, 0],
 "options": {"predict": {"layout_unclip_ratio": [1.0, 2.0]}, "visualize": false,
             "output_formats": [], "text_layer": "only", "priority": "batch",
             "on_page_error": "partial"},
 "params": {"format": "json"}, "name": "a.tif"}
"""


@pytest.mark.parametrize("on_page_error", ["fail", "partial"])
def test_a_record_comes_back_as_it_was(on_page_error: OnPageError) -> None:
    spec = replace(SPEC, on_page_error=on_page_error)
    assert spec_from_text(spec_to_text(spec)) == spec


def test_a_record_of_an_older_server_is_read() -> None:
    assert spec_from_text(OLD) == replace(SPEC, on_page_error="partial")


def test_an_older_server_finds_what_to_do_about_failed_pages() -> None:
    written = json.loads(spec_to_text(replace(SPEC, on_page_error="partial")))
    assert written["options"]["on_page_error"] == "partial"
    assert written.keys() == {"info", "pages", "options", "params", "name", "protocol"}


def test_a_job_is_a_request_again() -> None:
    job, ids = a_job("1", model="structure", priority="batch"), RequestIds("1", "token")
    request = replace(SPEC, on_page_error="partial").request(job, ids, b"file")
    assert (request.ids, request.data, request.info) == (ids, b"file", SPEC.info)
    assert (request.pages, request.options, request.name) == ((1, 0), SPEC.options, "a.tif")
    assert (request.model, request.priority) == ("structure", "batch")
    assert request.on_page_error == "partial"
