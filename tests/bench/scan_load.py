"""``python -m tests.bench.scan_load --url URL``: 20 scans of A4 at 300 dpi, four at once.

Pages a second, the highest measured peak and estimate of a page, and how many engines it took (more
than there are at once: some were replaced). Run it against two servers one after the other, on the
same idle machine, to compare them.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import httpx

from tests.bench.detection_scans import TIMEOUT_S, on_paper, picture, worn
from tests.bench.detection_scans import jpeg as as_jpeg

SOURCES = [("multi_page.pdf", number) for number in range(5)]


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.scan_load", description=__doc__)
    parser.add_argument("--url", required=True, help="of a server that is up")
    parser.add_argument("--model", default="ocr")
    parser.add_argument("--pages", type=int, default=20)
    parser.add_argument("--at-once", type=int, default=4)
    parser.add_argument("--dpi", type=int, default=300, choices=[144, 300])
    options = parser.parse_args(argv)
    pages = [scan(*source, options.dpi, noisy=noisy) for source in SOURCES for noisy in (0, 1)]
    with httpx.Client(base_url=options.url, timeout=TIMEOUT_S, trust_env=False) as http:
        http.post(f"/v1/models/{options.model}/unload").raise_for_status()
        query = {"model": options.model, "format": "text"}

        def send(number: int) -> httpx.Response:
            files = {"file": ("scan.jpg", pages[number % len(pages)])}
            return http.post("/v1/parse", params=query, files=files)

        first = send(0)  # the load is not what is measured
        if first.status_code != 200:
            print(json.dumps({"answered": 0, "refused": [first.text[:200]]}))
            return 1
        before = time.monotonic()
        with ThreadPoolExecutor(options.at_once) as pool:
            answers = list(pool.map(send, range(options.pages)))
        seconds = time.monotonic() - before
        tasks = http.get("/v1/tasks", params={"limit": options.pages, "kind": "page"}).json()
    good = [answer for answer in answers if answer.status_code == 200]
    print(
        json.dumps(
            {
                "answered": len(good),
                "refused": sorted({one.text[:200] for one in answers if one not in good}),
                "pages_per_s": round(len(good) / seconds, 3),
                "peak_mib": highest(good, "x-ocr-peak-bytes"),
                "estimate_mib": highest(good, "x-ocr-estimate-bytes"),
                "engines": len({task["engine_pid"] for task in tasks["tasks"]}),
            }
        )
    )
    return 0 if len(good) == options.pages else 1


def scan(name: str, index: int, dpi: int, *, noisy: int) -> bytes:
    sheet = on_paper([picture(name, index)])
    sheet = worn(sheet) if noisy else sheet
    sheet = sheet.resize((sheet.width * dpi // 300, sheet.height * dpi // 300))
    return as_jpeg(sheet, 75)


def highest(answers: Sequence[httpx.Response], header: str) -> int:
    return max((int(answer.headers[header]) for answer in answers), default=0) // 2**20


if __name__ == "__main__":
    sys.exit(main())
