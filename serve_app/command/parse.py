"""The command ``ocr-serve parse``: its arguments, and a run with them."""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path
from typing import Any

DEFAULT_URL = "http://127.0.0.1:8000"
KEY_VARIABLE = "OCR_SERVE_API_KEY"
DESCRIPTION = (
    "Send documents to a running server and write their results: files, folders, patterns. "
    "Started again after an interruption it goes on; the exit code is 1 if a document failed."
)


def add_parser(commands: Any) -> None:
    """Add the subcommand to the parser's."""
    parse = commands.add_parser(
        "parse", help="parse documents by a server", description=DESCRIPTION
    )
    parse.add_argument("path", nargs="+", help="a file, a folder, or a pattern in quotes")
    parse.add_argument(
        "--url",
        default=os.environ.get("OCR_SERVE_URL", DEFAULT_URL),
        help=f"of the server (default: $OCR_SERVE_URL, else {DEFAULT_URL})",
    )
    parse.add_argument("--format", default="markdown", help="of the results (default: markdown)")
    parse.add_argument(
        "--out", type=Path, help="folder of the results (default: beside each document)"
    )
    parse.add_argument("--model", help="the server's default, if not given")
    parse.add_argument("--pages", help="of each document, e.g. 1-3,7 (default: all)")
    parse.add_argument(
        "--option",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="any other parameter of /v1/parse or /v1/jobs; may be repeated",
    )
    parse.add_argument(
        "--at-once", type=int, default=4, help="documents under way (default: %(default)s)"
    )
    parse.add_argument("--force", action="store_true", help="also what has a result already")
    parse.epilog = f"An API key is taken from ${KEY_VARIABLE}."
    parse.set_defaults(handler=run)


def run(options: argparse.Namespace) -> int:
    """The exit code: 0 all well, 1 a document failed, 2 wrong arguments."""
    import asyncio

    from rich.console import Console

    from serve_app.client.files import documents
    from serve_app.client.show import tell

    params = {"format": options.format}
    params |= {
        name: getattr(options, name) for name in ("model", "pages") if getattr(options, name)
    }
    for text in options.option:
        name, equals, value = text.partition("=")
        if not equals or not name:
            return _wrong(f"--option {text}: expected is NAME=VALUE")
        params[name] = value
    if options.at_once < 1:
        return _wrong("--at-once must be at least 1")
    found, missing = documents(options.path, options.out, options.format)
    if missing:
        return _wrong(f"there is no document: {', '.join(missing)}")
    console, started = Console(stderr=True, highlight=False), time.monotonic()
    summary = asyncio.run(_run(options, params, found, console))
    tell(summary, time.monotonic() - started, console)
    return 1 if summary.failures else 0


async def _run(options: argparse.Namespace, params: Any, found: Any, console: Any) -> Any:
    from serve_app.client.batch import Batch
    from serve_app.client.http import JobClient
    from serve_app.client.show import Bars

    client = JobClient(options.url, os.environ.get(KEY_VARIABLE))
    try:
        with Bars(found, console) as bars:
            batch = Batch(
                client,
                params,
                at_once=options.at_once,
                force=options.force,
                progress=bars.pages,
                ended=bars.ended,
            )
            return await batch.run(found)
    finally:
        await client.close()


def _wrong(message: str) -> int:
    print(f"ocr-serve: {message}", file=sys.stderr)
    return 2
