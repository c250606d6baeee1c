"""``python -m tests.bench.quality [FOLDER …]``: what of a document's text arrives, and its order.

Every file of the folders goes through our server (``--url``, or one of its own) and through plain
PaddleX in process with the same weights; text and Markdown are compared with the PDFs' own text
layers, where these can be trusted.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import httpx

from tests.bench import facts, quality_score, report, store
from tests.bench.contender import ContenderFailed
from tests.bench.corpus import corpus_folder
from tests.bench.guard import cancel_on_sigterm, guarded
from tests.bench.http_servers import OcrServe
from tests.bench.paddlex_config import write_config
from tests.bench.pipelines import PIPELINES
from tests.bench.plain import PlainPipeline
from tests.bench.quality_readers import PlainReader, Reader, ServerReader
from tests.bench.quality_score import FileRow
from tests.bench.session import say
from tests.bench.text_layers import read_layer

SUFFIXES = frozenset({".pdf", ".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".bmp", ".gif"})
OURS = "ocr-serve"
TEXT_LAYER = "text_layer"


def main(argv: Sequence[str] | None = None) -> int:
    options = parse(argv)
    files = files_of(options.folders)
    if not files:
        print(f"no documents in {options.folders}", file=sys.stderr)
        return 2
    try:
        with guarded():
            rows, readers = asyncio.run(bench(options, files))
    except ContenderFailed as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except (KeyboardInterrupt, asyncio.CancelledError):
        print("bench: interrupted", file=sys.stderr)
        return 130
    publish(options, rows, readers)
    return 0


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.quality", description=__doc__)
    parser.add_argument("folders", nargs="*", type=Path, default=[corpus_folder()])
    parser.add_argument("--url", help="a server that is up; default: one is started")
    parser.add_argument("--model", choices=list(PIPELINES), default="structure")
    parser.add_argument(
        "--variant",
        action="append",
        metavar="NAME=QUERY",
        help="a column of our server, e.g. off='text_layer=off'; several times. Default: with the "
        "text layer off and on auto, where the server knows it",
    )
    parser.add_argument("--no-plain", action="store_true", help="without PaddleX in process")
    parser.add_argument(
        "--plain-gib", type=float, default=8.0, help="what PaddleX may allocate (default: 8)"
    )
    parser.add_argument("--json", type=Path, help="where the raw scores go")
    parser.add_argument("--write", action="store_true", help="put the tables into RESULTS.md")
    return parser.parse_args(argv)


def files_of(folders: Sequence[Path]) -> list[Path]:
    """The documents in these folders, and files named themselves."""
    found = [
        path
        for folder in folders
        for path in (sorted(folder.iterdir()) if folder.is_dir() else [folder])
    ]
    return [path.resolve() for path in found if path.suffix.lower() in SUFFIXES]


async def bench(
    options: argparse.Namespace, files: Sequence[Path]
) -> tuple[list[FileRow], list[str]]:
    """All files through all readers; every contender is stopped at the end."""
    cancel_on_sigterm()
    rows = []
    async with contextlib.AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ocr-quality-")))
        url = options.url or await stack.enter_async_context(_own_server(options.model, folder))
        http = await stack.enter_async_context(httpx.AsyncClient(base_url=url, trust_env=False))
        readers: list[Reader] = [
            ServerReader(name, http, {"model": options.model, **query})
            for name, query in (await variants_of(http, options.variant)).items()
        ]
        if not options.no_plain:
            readers.append(await stack.enter_async_context(_plain(options, folder)))
        for number, path in enumerate(files, 1):
            layer = read_layer(path)
            scores = {
                reader.name: quality_score.score(await reader.read(path), layer)
                for reader in readers
            }
            rows.append(quality_score.row(path.name, layer, scores))
            say(f"{number} of {len(files)} {quality_score.describe(rows[-1])}")
    return rows, [reader.name for reader in readers]


async def variants_of(
    http: httpx.AsyncClient, asked: Sequence[str] | None
) -> dict[str, Mapping[str, str]]:
    """Our server's columns with their queries."""
    if asked:
        pairs = [variant.partition("=") for variant in asked]
        return {name: dict(httpx.QueryParams(query).items()) for name, _, query in pairs}
    documented = (await http.get("/openapi.json", timeout=30)).json()
    parameters = documented["paths"]["/v1/parse"]["post"].get("parameters", [])
    if not any(parameter["name"] == TEXT_LAYER for parameter in parameters):
        return {OURS: {}}
    return {f"{OURS} {value}": {TEXT_LAYER: value} for value in ("off", "auto")}


@contextlib.asynccontextmanager
async def _own_server(model: str, folder: Path) -> AsyncIterator[str]:
    server = OcrServe(PIPELINES[model], folder, [1])  # type: ignore[index]  # a choice of these
    try:
        say("starting ocr-serve")
        await server.start()
        yield f"http://127.0.0.1:{server.port}"
    finally:
        await server.stop()


@contextlib.asynccontextmanager
async def _plain(options: argparse.Namespace, folder: Path) -> AsyncIterator[PlainReader]:
    pipeline = PIPELINES[options.model]
    config = write_config(pipeline, folder)
    plain = PlainPipeline(pipeline, config, folder, most_bytes=round(options.plain_gib * 2**30))
    try:
        yield PlainReader(plain)
    finally:
        await plain.stop()


def publish(options: argparse.Namespace, rows: Sequence[FileRow], readers: Sequence[str]) -> None:
    """Print, keep the raw scores, and with ``--write`` change RESULTS.md."""
    machine, versions = facts.machine(), facts.versions()
    tables = quality_score.section(rows, readers, options.model)
    raw = options.json or store.raw_file("quality-")
    kept = {"machine": machine, "versions": versions, "rows": [asdict(row) for row in rows]}
    raw.write_text(json.dumps(kept, indent=1, ensure_ascii=False), encoding="utf-8")
    print(tables)
    say(f"raw scores: {raw}")
    if options.write:
        text = "\n\n".join(
            [time.strftime("%Y-%m-%d."), report.machine_section(machine, versions), tables]
        )
        store.write_tables(f"Quality, model {options.model}", text)
        say(f"tables: {store.TABLES}")


if __name__ == "__main__":
    sys.exit(main())
