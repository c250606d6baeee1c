"""The command ``ocr-serve top``: who holds the memory, and what runs, on a terminal."""

from __future__ import annotations

import argparse
import os
import sys
import time
from typing import Any

from serve_app.command.parse import DEFAULT_URL, KEY_VARIABLE


def add_parser(commands: Any) -> None:
    """Add the subcommand to the parser's."""
    top = commands.add_parser(
        "top",
        help="watch memory, models and the last pages of a server",
        epilog=f"An operator's key is taken from ${KEY_VARIABLE}.",
    )
    top.add_argument(
        "--url",
        default=os.environ.get("OCR_SERVE_URL", DEFAULT_URL),
        help=f"of the server (default: $OCR_SERVE_URL, else {DEFAULT_URL})",
    )
    top.add_argument(
        "--interval-s", type=float, default=2.0, help="between two looks (default: %(default)g)"
    )
    top.add_argument("--once", action="store_true", help="print it once, and end")
    top.set_defaults(handler=run)


def run(options: argparse.Namespace) -> int:
    """The exit code: 0, or 1 if the server does not answer as asked."""
    from rich.console import Console
    from rich.live import Live

    from serve_app.client.machine import MachineClient, NoAnswer
    from serve_app.client.top import screen

    if not 0.2 <= options.interval_s <= 3600:
        print("ocr-serve: --interval-s must be from 0.2 to 3600", file=sys.stderr)
        return 2
    client, console = MachineClient(options.url, os.environ.get(KEY_VARIABLE)), Console()
    try:
        shown = screen(client.look())
        if options.once or not console.is_terminal:
            console.print(shown)
            return 0
        with Live(shown, console=console, screen=True, auto_refresh=False) as live:
            while True:
                time.sleep(options.interval_s)
                live.update(screen(client.look()), refresh=True)
    except NoAnswer as error:
        print(f"ocr-serve: {error}", file=sys.stderr)
        return 1
    finally:
        client.close()
