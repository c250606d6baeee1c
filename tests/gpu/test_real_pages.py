"""Real pages on a real GPU: right, within the budget, and gone from the card after an unload.

Skipped where there is no NVIDIA GPU, or no environment with ONNX Runtime's CUDA build: `make gpu`
makes one (`.venv-gpu`), and what scripts/pack_gpu.py packs brings it along.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pynvml
import pytest

from tests.corpus import corpus_file
from tests.documents import encoded, text_picture
from tests.e2e.ledger import domains
from tests.e2e.server import Server, running
from tests.e2e.waiting import eventually
from tests.gpu import gpu_server
from tests.gpu.gpu_server import CRITICAL, SHARE, WORKERS, used_bytes
from tests.word_f1 import compare, joined, text_layer

pytestmark = [pytest.mark.gpu, pytest.mark.slow]

MIB = 2**20
MIN_F1 = 0.98
DIGITAL = ("multi_page.pdf", "2305.03393v1-pg9.pdf", "code_and_formula.pdf")
# What the driver may keep for itself after its first process.
SLACK = 256 * MIB
PAGES, SIZES = 200, 40


@pytest.fixture(scope="module")
def program() -> tuple[str, ...]:
    found = gpu_server.program()
    return found or pytest.skip("no environment with onnxruntime-gpu: `make gpu` makes one")


@pytest.fixture(scope="module")
def card() -> Iterator[Any]:
    """NVML's handle of the first GPU."""
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        pytest.skip(f"no NVIDIA GPU here: {error}")
    yield pynvml.nvmlDeviceGetHandleByIndex(0)
    pynvml.nvmlShutdown()


@pytest.fixture(scope="module")
def server(card: Any, program: tuple[str, ...]) -> Iterator[Server]:
    with running(gpu_server.config(), program=program) as found:
        yield found


def ours(server: Server) -> int:
    return sum(int(one["ours_bytes"]) for one in domains(server) if one["kind"] == "gpu")


def test_the_words_of_digital_pdfs_are_read_on_the_gpu(server: Server) -> None:
    """A session that fell back to the CPU would have been a load error."""
    for name in DIGITAL:
        pdf = corpus_file(name)
        began = time.monotonic()
        answer = server.parse(pdf, model="ocr", text_layer="off", format="text")
        assert answer.status_code == 200, answer.text
        assert answer.headers["x-ocr-pool"] == "gpu"
        layer = text_layer(pdf)
        score = compare(answer.text, joined(layer))
        took = time.monotonic() - began
        print(f"{name}: word F1 {score.f1:.4f}, {len(layer)} pages in {took:.2f} s")
        assert score.f1 >= MIN_F1, f"missing {score.missing}, extra {score.extra}"
    assert eventually(lambda: ours(server), 5, "the engine holds memory of the device") > 300 * MIB


def test_structure_is_read_on_the_gpu(server: Server) -> None:
    answer = server.parse(corpus_file(DIGITAL[0]), model="structure", text_layer="off")
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-ocr-pool"] == "gpu"


def test_memory_stays_within_the_budget_over_pages_of_many_sizes(server: Server, card: Any) -> None:
    total = int(pynvml.nvmlDeviceGetMemoryInfo(card).total)
    budget = int(WORKERS * SHARE * CRITICAL * total)

    def read(number: int) -> int:
        width = 500 + 45 * (number % SIZES)
        words = f"Page number {number}"
        page = encoded(
            text_picture(words, width=width, height=width * 7 // 5, font_px=width // 16), "png"
        )
        answer = server.parse(page, model="ocr", format="text")
        assert answer.status_code == 200, answer.text
        assert str(number) in answer.text
        return ours(server)

    began = time.monotonic()
    with ThreadPoolExecutor(4) as clients:
        held = list(clients.map(read, range(PAGES)))
    took = time.monotonic() - began
    print(f"{PAGES / took:.1f} pages/s of {SIZES} sizes; at most {max(held) / MIB:.0f} MiB held")
    assert max(held) <= budget


def test_an_unload_answers_when_the_card_has_its_memory_back(server: Server, card: Any) -> None:
    assert used_bytes(card) > 300 * MIB
    for model in ("ocr", "structure"):
        done = server.http.post(f"/v1/models/{model}/unload", params={"timeout_s": 60})
        assert done.status_code == 200, done.text
    assert ours(server) <= SLACK
    print(f"{used_bytes(card) / MIB:.0f} MiB used of the card after the unload")
