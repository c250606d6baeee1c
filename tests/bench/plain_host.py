"""The child process of the plain contender: PaddleX's pipeline in one Python process, no server.

``python -m tests.bench.plain_host FD CONFIG PREDICT [BYTES]`` reads paths from the socket FD, one a
line, and answers each with a line of JSON: of each page the lines of text and the markdown, or what
went wrong. What a server would send is made as well (``json``), since it belongs to the work. With
BYTES, it may allocate no more than that: a bench beside others must not fill the machine.
"""

from __future__ import annotations

import json
import resource
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
    if len(argv) > 4:
        resource.setrlimit(resource.RLIMIT_DATA, (int(argv[4]), int(argv[4])))
    pipeline = create_pipeline(config=config, device="cpu")
    print(json.dumps("ready"), file=channel, flush=True)
    for path in channel:
        answer: dict[str, Any]
        try:
            answer = {"pages": read(pipeline, path.rstrip("\n"), options)}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"[:500]}
        print(json.dumps(answer), file=channel, flush=True)


def read(pipeline: Any, path: str, options: dict[str, Any]) -> list[dict[str, Any]]:
    """All pages of one file."""
    pages = []
    for result in pipeline.predict(path, **options):
        markdown = result._to_markdown() if hasattr(result, "_to_markdown") else None
        pages.append(
            {
                "lines": lines_of(result.json["res"]),
                "markdown": markdown and markdown["markdown_texts"],
            }
        )
    return pages


if __name__ == "__main__":
    main(sys.argv)
