"""Programs built on PaddleOCR's clients, unmodified, with this server in place of the cloud:
langchain-paddleocr 0.2.2, and paddleocr_mcp 0.8.5 in each of its modes that ask a server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.client_environment import python_with, run_script
from tests.e2e import mcp
from tests.served import Served, served

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.long]

LANGCHAIN = r"""
import json, sys
from langchain_paddleocr import PaddleOCRVLLoader
from pydantic import SecretStr

url, file = sys.argv[1:]
loader = PaddleOCRVLLoader(file, access_token=SecretStr("any"), base_url=url)
print(json.dumps([document.page_content for document in loader.load()]))
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("paddle")) as running:
        yield running


def test_langchain_loads_a_document(server: Served) -> None:
    python = python_with("langchain-paddleocr==0.2.2")
    (text,) = json.loads(run_script(python, LANGCHAIN, server.url, server.file(2)))
    first, second = text.split("\n\f")
    assert first.startswith("# Page 1")
    assert second.startswith("# Page 2")


@pytest.mark.parametrize("source", ["self_hosted", "aistudio", "qianfan"])
def test_the_mcp_server_reads_a_document(server: Served, tmp_path: Path, source: str) -> None:
    file = Path(server.file(1, "scan.tiff"))
    with mcp.client(server.url, "PP-StructureV3", source) as client:
        (tool, *_) = client.tools()
        assert "Page 1" in client.read(tool, file)
