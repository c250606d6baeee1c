"""The parts of the bench that decide what a table says; no contender is started."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path

import psutil
import pypdfium2
import pytest
from PIL import Image

from tests.bench import __main__ as command
from tests.bench import faster_paddle_host, idle, report, store
from tests.bench.contender import Contender, ContenderFailed
from tests.bench.corpus import Sample
from tests.bench.http_servers import shipped_config
from tests.bench.measure import Block, measure
from tests.bench.pipelines import PIPELINES
from tests.bench.session import Outcome, accuracies, rotated

PAGE = Sample("a.pdf p1", "a.pdf", "pdf", 1, b"%PDF", "some words")


class FakeContender:
    """Answers at once, and counts how many requests it has under way."""

    name = "fake"
    at_once: tuple[int, ...] = (1, 3)

    def __init__(self) -> None:
        self.under_way = self.most = 0

    async def start(self) -> None: ...

    async def read(self, sample: Sample) -> bytes:
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        await asyncio.sleep(0)
        self.under_way -= 1
        if not sample.data:
            raise ContenderFailed(sample.name)
        return sample.name.encode()

    def texts(self, answer: bytes) -> list[str]:
        return [answer.decode()]

    def processes(self) -> list[psutil.Process]:
        return []

    async def stop(self) -> None: ...


def block(contender: str, at_once: int, wall_s: float, number: int = 1) -> Block:
    return Block(contender, at_once, number, False, 6, wall_s, (wall_s / 6,) * 6, 3.0, 2**20)


def named(name: str) -> Sample:
    return Sample(name, name, "pdf", 1, b"%PDF", "")


async def test_a_block_keeps_so_many_requests_under_way_and_the_order_of_answers() -> None:
    fake = FakeContender()
    samples = [named(str(n)) for n in range(10)]
    found, answers = await measure(fake, samples, at_once=3, number=2)
    assert fake.most == 3
    assert [answer.decode() for answer in answers] == [sample.name for sample in samples]
    assert (found.pages, len(found.latencies_s), found.round) == (10, 10, 2)


async def test_a_failed_request_ends_the_block() -> None:
    broken = Sample("b", "b", "pdf", 1, b"", "")
    with pytest.raises(ContenderFailed):
        await measure(FakeContender(), [PAGE, broken, PAGE], at_once=2, number=1)


def test_each_round_begins_with_another_contender() -> None:
    first: list[Contender] = [FakeContender(), FakeContender()]
    assert rotated(first, 1) == first[::-1]
    assert rotated(first, 2) == first


def test_percentiles_are_values_that_were_measured() -> None:
    values = [5.0, 1.0, 3.0, 2.0, 4.0]
    assert report.percentile(values, 0.5) == 3.0
    assert report.percentile(values, 0.99) == 5.0


def test_ratios_are_taken_within_a_round() -> None:
    blocks = [
        block(report.PEER, 4, 6.0),
        block(report.OURS, 4, 2.0),
        block(report.PEER, 4, 12.0, 2),
        block(report.OURS, 4, 3.0, 2),
    ]
    (row,) = [
        row for row in report.ratio_rows(blocks, report.ratios_for([4])) if report.PEER in row
    ]
    assert "3.50 (3.00-4.00)" in row
    assert ">= 2.5" in row


def test_the_native_peer_is_one_of_lines_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "write_config", lambda pipeline, folder: folder / "x.yaml")
    options = command.parse(["--contenders", "faster-paddle", "ocr-serve", "--precision", "f32"])
    named = {
        name: [made.name for made in command.make_contenders(pipeline, options, tmp_path)]
        for name, pipeline in PIPELINES.items()
    }
    assert named == {"ocr": [report.NATIVE, report.OURS], "structure": [report.OURS]}


def test_ours_is_to_be_ahead_of_the_native_peer() -> None:
    blocks = [block(report.NATIVE, 1, 6.0), block(report.OURS, 4, 4.0)]
    (row,) = report.ratio_rows(blocks, report.ratios_for([1, 4]))
    assert row == "| ocr-serve at 4 / faster-paddle at 1 | 1.50 (1.50-1.50) | >= 1.15 |"


def test_f32_is_that_of_all_models() -> None:
    models = shipped_config("f32")["applications"][0]["args"]["models"]
    assert {model["engine"]["precision"] for model in models.values()} == {"f32"}


def test_the_native_peer_gets_pictures(tmp_path: Path) -> None:
    with pypdfium2.PdfDocument.new() as document:
        for width in (72, 144):
            document.new_page(width, 72)
        document.save(tmp_path / "two.pdf")
    pages = faster_paddle_host.pictures(tmp_path / "two.pdf")
    sizes = [Image.open(io.BytesIO(page)).size for page in pages]
    assert sizes == [(144, 144), (288, 144)]  # at 144 dpi
    (tmp_path / "a.jpg").write_bytes(b"as it is")
    assert faster_paddle_host.pictures(tmp_path / "a.jpg") == [b"as it is"]


def test_a_section_has_every_contender() -> None:
    many = Block(report.OURS, 1, 1, True, 5, 5.0, (5.0,), 3.0, 2**20)
    blocks = [block(report.PEER, 1, 6.0), block(report.OURS, 1, 2.0), many]
    f1 = accuracies(report.OURS, [PAGE, named("picture")], [["some", "words"], ["x"]])
    text = report.pipeline_section("ocr", Outcome(blocks, f1, {report.OURS: 0.1}, True), [1])
    assert f"| {report.PEER} | 1 | 1.00 (1.00-1.00) |" in text
    assert "| a.pdf | 1.0000 |" in text


def test_a_section_of_another_machine_stays(tmp_path: Path) -> None:
    file = tmp_path / "RESULTS.md"
    store.write_tables("first", "old numbers", file)
    store.write_tables("second", "other numbers", file)
    store.write_tables("first", "new numbers", file)
    text = file.read_text()
    assert "old numbers" not in text
    assert text.index("## first") < text.index("new numbers") < text.index("## second")
    assert text.endswith("other numbers\n")


def test_requests_are_in_the_words_of_the_protocol() -> None:
    body = PIPELINES["structure"].request_body(PAGE)
    assert b'"useE2eWiredTableRecModel": true' in body
    assert b'"useDocOrientationClassify": false' in body
    assert b'"fileType": 0' in body


def test_the_processes_of_a_server_are_told_by_their_commands() -> None:
    told = {
        "python -u /x/ray/_private/log_monitor.py --session-dir=/tmp/y": "Ray: log monitor",
        "ray::ServeController.listen_for_change": "Serve: controller",
        "ray::ServeReplica:ocr:pool-cpu": "worker",
        "python -m serve_app.child.host 7 42 serve_app.engines.paddle:build": "engines",
        "python -m serve_app run --log - a.yaml": "ocr-serve run",
        "something else": idle.OTHER,
    }
    assert {command: idle.consumer_of(command) for command in told} == told


def test_the_ledger_has_a_row_for_each_consumer_and_their_sum() -> None:
    before = idle.Ledger({"worker": 0.02, "memory watch": 0.01}, {})
    after = idle.Ledger({"worker": 0.015}, {"worker": 0.016, "engines": 0.002}, {"engines": 1.5})
    text = idle.table({"before": before, "after": after}, {"engines": 1.4})
    head, _, *rows = text.splitlines()
    assert head.count("|") == 7
    assert rows == [
        "| worker | 0.0200 | 0.0150 | 0.0160 |  |  |",
        "| memory watch | 0.0100 |  |  |  |  |",
        "| engines |  |  | 0.0020 | 1.5000 | 1.4000 |",
        "| all | 0.0300 | 0.0150 | 0.0180 | 1.5000 | 1.4000 |",
    ]
