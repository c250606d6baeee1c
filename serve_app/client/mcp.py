"""The server's API as tools of the Model Context Protocol, over stdio, by the official SDK."""

from __future__ import annotations

from typing import Any

from mcp.server import MCPServer

from serve_app.client.api import AsyncClient
from serve_app.client.models import Job

NAME = "ocr-serve"


def run(url: str, key: str | None) -> None:
    """Serve until standard input ends."""
    server_of(AsyncClient(url, key)).run()


def server_of(client: AsyncClient) -> Any:
    """The tools; each asks ``client``."""
    server = MCPServer(NAME)

    @server.tool()
    async def parse_document(file: str, format: str = "markdown", pages: str | None = None) -> str:
        """Read a document (PDF or picture): its text, tables and headings.

        Args:
            file: a path on this machine, or an http(s) URL.
            format: markdown, text, html or json.
            pages: e.g. 1-3,7; all of them if it is left out.
        """
        return await client.parse(file, format=format, pages=pages)

    @server.tool()
    async def submit_document(file: str, pages: str | None = None) -> dict[str, Any]:
        """Have a long document read in the background; gives the job's id.

        Args:
            file: a path on this machine, or an http(s) URL.
            pages: e.g. 1-3,7; all of them if it is left out.
        """
        return _told(await client.submit(file, pages=pages))

    @server.tool()
    async def job_status(job_id: str, wait_s: float = 20) -> dict[str, Any]:
        """How far a job is; waits for its end, for up to wait_s seconds (at most 60)."""
        return _told(await client.status(job_id, wait_s=wait_s))

    @server.tool()
    async def job_result(job_id: str, format: str = "markdown") -> str:
        """What was read of a document, of a job that is done."""
        return (await client.result(job_id, format=format)).decode()

    return server


def _told(job: Job) -> dict[str, Any]:
    """What a model has to know of a job."""
    told: dict[str, Any] = {"job_id": job.id, "state": job.state, "pages": job.pages}
    told["pages_done"] = job.pages_done
    if job.error is not None:
        told["error"] = job.error.message
    return told
