"""What is where on a page, in JSON."""

from __future__ import annotations

import dataclasses

from serve_app.document import Block, PageInfo, PageResult
from serve_app.testing.service import FakeDocumentService, canned_page
from tests import documents
from tests.http_client import http_client


async def test_json_says_what_is_where_by_the_indexes_of_lines() -> None:
    def page(info: PageInfo) -> PageResult:
        result = canned_page(info, lines=("A title", "Some text"))
        blocks = (
            Block("doc_title", (0, 0, 10, 5), (0,), "A title", level=1, score=0.9),
            Block("text", (0, 5, 10, 9), (1,), "Some text", recovered=True),
        )
        return dataclasses.replace(result, blocks=blocks)

    async with http_client(FakeDocumentService(page=page)) as client:
        answer = await client.post("/v1/parse?format=json", content=documents.picture("png"))
    (told,) = answer.json()["pages"]
    assert [(one["label"], one["lines"], one["level"]) for one in told["blocks"]] == [
        ("doc_title", [0], 1),
        ("text", [1], 0),
    ]
    assert [(one["recovered"], one["score"]) for one in told["blocks"]] == [
        (False, 0.9),
        (True, None),
    ]
    assert "text" not in told["blocks"][0], "it is that of the lines"
