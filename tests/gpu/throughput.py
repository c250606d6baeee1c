"""Pages a second on a GPU: `make bench-gpu`. Prints a line for each model, for RESULTS.md.

The pages are those of the corpus' digital PDFs, as pictures (``text_layer=off``); each is asked for
by itself, as many at once as there are clients. One round warms up, the next ones count.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import pynvml

from tests.corpus import CORPUS
from tests.e2e.server import Server, running
from tests.gpu import gpu_server
from tests.word_f1 import text_layer

DIGITAL = ("multi_page.pdf", "2305.03393v1-pg9.pdf", "code_and_formula.pdf")
MIB = 2**20
SAMPLE_S = 0.1


@dataclass
class Card:
    """What the GPU tells while something runs.

    Attributes:
        peak_bytes: the most that was used of it, by whomever.
        joules: what it has taken; None where it does not tell.
    """

    handle: Any
    peak_bytes: int = 0
    joules: float | None = None
    _over: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Until the block ends."""
        began, watcher = self._millijoules(), threading.Thread(target=self._watch)
        watcher.start()
        try:
            yield
        finally:
            self._over.set()
            watcher.join()
        ended = self._millijoules()
        if began is not None and ended is not None:
            self.joules = (ended - began) / 1000

    def _watch(self) -> None:
        while not self._over.wait(SAMPLE_S):
            self.peak_bytes = max(self.peak_bytes, gpu_server.used_bytes(self.handle))

    def _millijoules(self) -> int | None:
        with suppress(pynvml.NVMLError):  # consumer cards have no counter
            return int(pynvml.nvmlDeviceGetTotalEnergyConsumption(self.handle))
        return None


def pages() -> list[tuple[bytes, int]]:
    """(file, page number) of every page."""
    files = [(CORPUS / name).read_bytes() for name in DIGITAL]
    return [(file, number) for file in files for number in range(1, len(text_layer(file)) + 1)]


def ask(server: Server, model: str, page: tuple[bytes, int]) -> float:
    """Seconds of one page."""
    began = time.monotonic()
    asked = {"model": model, "text_layer": "off", "pages": str(page[1]), "format": "text"}
    answer = server.parse(page[0], **asked)
    answer.raise_for_status()
    return time.monotonic() - began


def measure(server: Server, model: str, clients: int, rounds: int, handle: Any) -> str:
    """The line of one model."""
    work, card = pages(), Card(handle)
    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(lambda page: ask(server, model, page), work * 2))
        began = time.monotonic()
        with card.watched():
            took = list(pool.map(lambda page: ask(server, model, page), work * rounds))
        seconds = time.monotonic() - began
    cuts = statistics.quantiles(took, n=100)
    energy = "" if card.joules is None else f", {card.joules / len(took):.1f} J/page"
    return (
        f"{model}: {len(took) / seconds:.2f} pages/s with {clients} clients, p50 {cuts[49]:.2f} s, "
        f"p99 {cuts[98]:.2f} s, {card.peak_bytes / MIB:.0f} MiB of the card at most{energy}"
    )


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description="Pages a second on a GPU.")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=10)
    options = parser.parse_args()
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        print(f"no NVIDIA GPU here: {error}", file=sys.stderr)
        return 1
    if (program := gpu_server.program()) is None:
        print("no environment with onnxruntime-gpu: `make gpu` makes one", file=sys.stderr)
        return 1
    handle = pynvml.nvmlDeviceGetHandleByIndex(0)
    print(pynvml.nvmlDeviceGetName(handle), pynvml.nvmlSystemGetDriverVersion())
    with running(gpu_server.config(), program=program) as server:
        for model in ("ocr", "structure"):
            print(measure(server, model, options.clients, options.rounds, handle), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
