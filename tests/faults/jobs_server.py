"""A server of jobs with canned pages, for tests that kill it: its pages take a while, and each is
noted in a file when it is handed out.

    python -m tests.faults.jobs_server PORT FOLDER NOTES [RECORDS_URL]
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import uvicorn

from serve_app.api.app import build_http_app
from serve_app.document import PageInfo, PageResult
from serve_app.jobs.service import Jobs
from serve_app.jobs.stores import stores_of
from serve_app.testing.service import FakeDocumentService, canned_layout_page, fake_settings

PAGE_S = 0.1


def main(port: str, folder: str, notes: str, records_url: str | None = None) -> None:
    """Serve until killed."""
    settings = fake_settings(
        jobs={"folder": folder, "lease_s": 5, "records_url": records_url, "max_running": 2}
    )

    def page(info: PageInfo) -> PageResult:
        time.sleep(PAGE_S)
        line = f"{info.width} {info.index}\n".encode()  # the width tells documents apart
        with Path(notes).open("ab", buffering=0) as file:
            file.write(line)
        return canned_layout_page(info)

    service = FakeDocumentService(page, settings=settings, keep_calls=False)
    jobs = Jobs(service, *stores_of(settings.jobs, os.environ), settings)
    app = build_http_app(service, settings, jobs=jobs)
    uvicorn.run(app, host="127.0.0.1", port=int(port), log_level="warning")


if __name__ == "__main__":
    main(*sys.argv[1:])
