"""The child process of the contender faster-paddle; runs in an environment without this package.

``python -I faster_paddle_host.py FD THREADS`` reads paths from the socket FD, one a line, and
answers each as ``plain_host.py`` does.
"""

from __future__ import annotations

import io
import json
import socket
import sys
from pathlib import Path
from typing import Any

# As this server and PaddleX render the pages of PDFs.
PDF_DPI = 144


def main(argv: list[str]) -> None:
    from faster_paddle import OcrEngine

    channel = socket.socket(fileno=int(argv[1])).makefile("rw", encoding="utf-8")
    engine = OcrEngine(model_size="small", threads=int(argv[2]))
    print(json.dumps("ready"), file=channel, flush=True)
    for line in channel:
        answer: dict[str, Any]
        try:
            pages = pictures(Path(line.rstrip("\n")))
            answer = {"pages": [{"lines": read(engine, page), "markdown": None} for page in pages]}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"[:500]}
        print(json.dumps(answer), file=channel, flush=True)


def read(engine: Any, picture: bytes) -> list[str]:
    """The lines of one picture in the engine's own order."""
    return [str(line["text"]) for line in engine.ocr(picture)["bounds"].values()]


def pictures(path: Path) -> list[bytes]:
    """The file as the engine takes it; pages of a PDF as BMP, which costs next to nothing."""
    if path.suffix != ".pdf":
        return [path.read_bytes()]
    import pypdfium2

    found = []
    with pypdfium2.PdfDocument(path) as document:
        for page in document:
            buffer = io.BytesIO()
            page.render(scale=PDF_DPI / 72).to_pil().save(buffer, "BMP")
            found.append(buffer.getvalue())
    return found


if __name__ == "__main__":
    main(sys.argv)
