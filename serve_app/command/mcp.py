"""The command ``ocr-serve mcp``: a server's API as tools for language models, over stdio."""

from __future__ import annotations

import argparse
import os
import sys
from typing import Any

from serve_app.command.parse import DEFAULT_URL, KEY_VARIABLE


def add_parser(commands: Any) -> None:
    """Add the subcommand to the parser's."""
    mcp = commands.add_parser("mcp", help="tools for language models (MCP, over stdio)")
    mcp.add_argument(
        "--url",
        default=os.environ.get("OCR_SERVE_URL", DEFAULT_URL),
        help=f"of the server (default: $OCR_SERVE_URL, else {DEFAULT_URL})",
    )
    mcp.epilog = f"An API key is taken from ${KEY_VARIABLE}."
    mcp.set_defaults(handler=run)


def run(options: argparse.Namespace) -> int:
    """The exit code: 0, or 2 without the SDK."""
    try:
        from serve_app.client import mcp
    except ImportError:
        print("ocr-serve: mcp needs: pip install 'ocr-serve[mcp]'", file=sys.stderr)
        return 2
    mcp.run(options.url, os.environ.get(KEY_VARIABLE))
    return 0
