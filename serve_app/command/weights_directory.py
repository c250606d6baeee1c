"""``ocr-serve weights fetch | pin | check``: model directories for ``weights.source: directory``.

``fetch`` brings PaddleOCR's official models from a hub, ``pin`` writes the hashes of what is in a
directory, ``check`` compares the two. Each handler returns the exit status: 0 done, 1 not.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from serve_app.errors import WeightsError
from serve_app.weights import hashes_file
from serve_app.weights.pins import differences


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the three commands; ``handler`` of the parsed arguments runs one."""
    fetch = commands.add_parser("fetch", help="fetch official models from a hub into a directory")
    fetch.add_argument("directory", type=Path, metavar="DIRECTORY")
    fetch.add_argument("models", nargs="*", metavar="MODEL", help="PaddleX names")
    fetch.add_argument("--config", type=Path, help="the models of this Serve configuration")
    _add_hashes_file(fetch, "refuse what differs from it; without names: fetch all in it")
    fetch.set_defaults(handler=run_fetch)
    pin = commands.add_parser("pin", help="print the hashes of a directory's models")
    pin.add_argument("directory", type=Path, metavar="DIRECTORY")
    pin.add_argument("models", nargs="*", metavar="MODEL", help="default: all that are there")
    pin.set_defaults(handler=run_pin)
    check = commands.add_parser("check", help="compare a directory's models with their hashes")
    check.add_argument("directory", type=Path, metavar="DIRECTORY")
    _add_hashes_file(check, "as `ocr-serve weights pin` has written it", required=True)
    check.set_defaults(handler=run_check)


def _add_hashes_file(
    parser: argparse.ArgumentParser, summary: str, *, required: bool = False
) -> None:
    parser.add_argument("--hashes-file", type=Path, required=required, metavar="F", help=summary)


def run_fetch(arguments: argparse.Namespace) -> int:
    """Bring the models named, by the command line, a configuration or a file of hashes."""
    from serve_app.weights import hub_fetch

    directory: Path = arguments.directory
    try:
        pins = None if arguments.hashes_file is None else hashes_file.read(arguments.hashes_file)
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=directory, prefix=".hub-") as work:
            hub_fetch.keep_paddlex_below(Path(work))
            names = [*arguments.models, *_models_of(arguments.config)] or list(pins or {})
            if not names:
                return _fail("no model is named: give MODEL, --config or --hashes-file")
            hub_fetch.fetch(names, directory, pins, hub_fetch.paddlex_download, on_ready=print)
    except (WeightsError, OSError, ValueError) as error:
        return _fail(str(error))
    if pins is None:
        print(
            f"not compared with anything; now: ocr-serve weights pin {directory} > weights.sha256"
        )
    return 0


def _models_of(config: Path | None) -> list[str]:
    """What the pipelines of a configuration load. Raises ValueError if it is not valid."""
    if config is None:
        return []
    import yaml

    from serve_app.config_check import check_args, check_file
    from serve_app.weights.hub_fetch import models_of

    if problems := check_file(config):
        raise ValueError("\n".join(map(str, problems)))
    applications = yaml.safe_load(config.read_text(encoding="utf-8"))["applications"]
    settings = [check_args(one.get("args") or {}) for one in applications]
    return models_of(model for one in settings for model in one.models.values())


def run_pin(arguments: argparse.Namespace) -> int:
    """Print a line per file, as ``sha256sum`` does."""
    try:
        models = arguments.models or hashes_file.models_in(arguments.directory)
        if not models:
            return _fail(f"{arguments.directory} has no folder with an inference.yml")
        lines = hashes_file.lines_of(arguments.directory, models)
    except OSError as error:
        return _fail(str(error))
    print("\n".join(lines))
    return 0


def run_check(arguments: argparse.Namespace) -> int:
    """Print every difference; 1 if there is one, or nothing to compare."""
    try:
        pins = hashes_file.read(arguments.hashes_file)
    except WeightsError as error:
        return _fail(str(error))
    found = [
        f"{model}: {arguments.directory / model / file} {message}"
        for model, files in pins.items()
        for file, message in differences(arguments.directory / model, files)
    ]
    print("\n".join([*found, f"{len(pins)} models, {len(found)} differences"]))
    return 0 if pins and not found else 1


def _fail(message: str) -> int:
    print(f"ocr-serve: {message}", file=sys.stderr)
    return 1
