"""The child process of the plain contender: PaddleX's pipeline in one Python process, no server.

``python -m tests.bench.plain_host FD CONFIG PREDICT`` reads paths from the socket FD, one a line,
and answers each with a line of JSON: the lines of text. What a server would send is made as well
(``json``, markdown), since it belongs to the work.
"""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path
from typing import Any

import yaml

from tests.bench.pipelines import lines_of


def main(argv: list[str]) -> None:
    from paddlex import create_pipeline

    channel = socket.socket(fileno=int(argv[1])).makefile("rw", encoding="utf-8")
    config = yaml.safe_load(Path(argv[2]).read_text(encoding="utf-8"))
    options = json.loads(argv[3])
    pipeline = create_pipeline(config=config, device="cpu")
    print(json.dumps("ready"), file=channel, flush=True)
    for path in channel:
        lines = read(pipeline, path.rstrip("\n"), options)
        print(json.dumps(lines), file=channel, flush=True)


def read(pipeline: Any, path: str, options: dict[str, Any]) -> list[str]:
    """All pages of one file."""
    lines: list[str] = []
    for result in pipeline.predict(path, **options):
        lines += lines_of(result.json["res"])
        if hasattr(result, "_to_markdown"):
            result._to_markdown()
    return lines


if __name__ == "__main__":
    main(sys.argv)
