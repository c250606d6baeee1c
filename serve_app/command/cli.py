"""The command ``ocr-serve``: argument parsing only; each subcommand names its handler."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from serve_app.command import mcp as cli_mcp
from serve_app.command import parse as cli_parse
from serve_app.command import shipped
from serve_app.command import top as cli_top
from serve_app.command import weights as cli_weights

# Heavier modules (pydantic, Ray) are imported by the handlers: `weights` and `version` start at
# once.


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand; returns the exit code (2 for wrong arguments, as argparse does)."""
    options = parser().parse_args(argv)
    try:
        code = options.handler(options)
    except KeyboardInterrupt:
        print("ocr-serve: interrupted", file=sys.stderr)
        return 130
    return int(code)


def parser() -> argparse.ArgumentParser:
    """The parser of all subcommands; ``handler`` in the namespace runs it."""
    top = argparse.ArgumentParser(prog="ocr-serve", description="OCR server on Ray Serve.")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)

    check = commands.add_parser("check", help="check Serve configuration files strictly")
    check.add_argument("file", nargs="+", type=Path)
    check.add_argument(
        "--explain",
        action="store_true",
        help="also what this machine has, what is kept for what, and what fits",
    )
    check.set_defaults(handler=_check)

    run = commands.add_parser("run", help="check a configuration, start it, wait until it is ready")
    run.add_argument(
        "file",
        type=Path,
        nargs="?",
        default=shipped.file_of(shipped.DEFAULT),
        help="a Serve configuration (default: the package's own for one machine)",
    )
    run.add_argument(
        "--ready-timeout-s",
        type=float,
        default=300.0,
        help="give up when /readyz has not answered 200 by then (default: %(default)g)",
    )
    run.add_argument(
        "--dashboard",
        action="store_true",
        help="with Ray's dashboard, which `serve status` needs too (215 MiB more)",
    )
    run.add_argument(
        "--metrics-port",
        type=int,
        default=0,
        help="of Ray's Prometheus endpoint, ours in it (default: a free one, which is printed)",
    )
    run.add_argument(
        "--log",
        type=Path,
        help='file for what Ray and the processes say; "-": the terminal '
        "(default: ~/.local/state/ocr-serve/log/PORT.log)",
    )
    run.set_defaults(handler=_run)

    cli_parse.add_parser(commands)
    cli_mcp.add_parser(commands)
    cli_top.add_parser(commands)
    cli_weights.add_parser(commands)

    config = commands.add_parser("config", help="print a configuration that comes with the package")
    config.add_argument("name", nargs="?", choices=shipped.names(), default=shipped.DEFAULT)
    config.set_defaults(handler=_config)

    key = commands.add_parser("key", help="make an API key, and its entry for the list of keys")
    key.add_argument("name", help="who it is for; appears in logs")
    key.add_argument("--role", choices=["client", "operator"], default="client")
    key.set_defaults(handler=_key)

    env = commands.add_parser("env", help="print the variables that Ray must be started with")
    env.set_defaults(handler=_env)
    version = commands.add_parser("version", help="print the version")
    version.set_defaults(handler=_version)
    return top


def _check(options: argparse.Namespace) -> int:
    from serve_app.config_check import check_file

    failed = False
    for file in options.file:
        problems = check_file(file)
        failed = failed or bool(problems)
        for problem in problems:
            print(problem, file=sys.stderr)
        if not problems:
            print(f"{file}: ok")
            failed = (options.explain and _explain(file)) or failed
    return 1 if failed else 0


def _explain(file: Path) -> bool:
    """Print what a configuration is on this machine; whether it could not be started."""
    from serve_app.sizing import explain

    lines, objections = explain(file)
    print("\n".join(lines))
    for objection in objections:
        print(objection, file=sys.stderr)
    return bool(objections)


def _run(options: argparse.Namespace) -> int:
    from serve_app.command import launch

    return launch.run(
        options.file,
        ready_timeout_s=options.ready_timeout_s,
        dashboard=options.dashboard,
        metrics_port=options.metrics_port,
        log=options.log,
        environ=os.environ,
    )


def _config(options: argparse.Namespace) -> int:
    print(shipped.file_of(options.name).read_text(encoding="utf-8"), end="")
    return 0


def _env(_: argparse.Namespace) -> int:
    from serve_app.command.environment import FIXED

    for name, value in FIXED.items():
        print(f"{name}={value}")
    return 0


def _key(options: argparse.Namespace) -> int:
    from pydantic import ValidationError

    from serve_app.api.api_keys import new_key

    try:
        key, entry = new_key(options.name, options.role)
    except ValidationError:
        print("ocr-serve: a name is letters, digits, dots and dashes", file=sys.stderr)
        return 2
    print(f"- {{name: {entry.name}, role: {entry.role}, sha256: {entry.sha256}}}")
    print(f"the key, shown once: {key}", file=sys.stderr)
    return 0


def _version(_: argparse.Namespace) -> int:
    print(metadata.version("ocr-serve"))
    return 0
