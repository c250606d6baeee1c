"""What the soak asks for, and whether it was passed; no contender is started."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import psutil

from tests.bench import soak_pages, soak_plot, soak_report, soak_run, store
from tests.bench.contender import ContenderFailed
from tests.bench.corpus import Sample
from tests.bench.soak_run import Answer, Limits, Track
from tests.bench.soak_watch import EngineEvent, Engines, Reading, engine_events

MIB = 2**20
BUDGET = 4096 * MIB
QUICK = Limits(at_once=2, pages_s=60, deadline_s=5, before_s=0, after_s=0)


def engines(*pids: int, held: int = 0, peak: int = 0, told: int | None = 0) -> Engines:
    budget = None if told is None else BUDGET
    return Engines(pids, held * MIB, peak * MIB, told if told is None else told * MIB, budget)


def reading(at_s: float, found: Engines | None, pss: int = 3000) -> Reading:
    return Reading(at_s, 0, pss * MIB, found)


def track(
    *readings: Reading, wanted: int = 2, failure: str | None = None, name: str = "ocr-serve"
) -> Track:
    answers = [Answer("200x150", 0.0, 1.0), Answer("300x400", 1.0, 2.0, failure)]
    return Track(name, wanted, answers, 30.0, list(readings) or [reading(0, engines(1, held=900))])


class FakeContender:
    """Reads every page but those without data, one of which it never answers."""

    name = "fake"
    at_once: tuple[int, ...] = (2,)
    stopped = False

    async def start(self) -> None: ...

    async def read(self, sample: Sample) -> bytes:
        await asyncio.sleep(60 if sample.name == "slow" else 0)
        if not sample.data:
            raise ContenderFailed(f"500 {sample.name}")
        return sample.data

    def texts(self, answer: bytes) -> list[str]:
        return [answer.decode()] if answer != b"blank" else []

    def processes(self) -> list[psutil.Process]:
        return []

    async def stop(self) -> None:
        self.stopped = True


def page(name: str, data: bytes = b"words") -> Sample:
    return Sample(name, name, "jpeg", 1, data, "")


def test_forty_pages_have_forty_sizes_within_the_range() -> None:
    sizes = soak_pages.sizes()
    assert len(set(sizes)) == len(sizes) == 40
    assert (sizes[0], sizes[-1]) == ((200, 150), (1600, 2200))
    areas = [width * height for width, height in sizes]
    assert areas == sorted(areas)


def test_pages_are_the_same_in_every_run() -> None:
    assert soak_pages.pages() == soak_pages.pages()


def test_requests_go_through_all_pages_before_one_comes_again() -> None:
    order = soak_pages.order(500)
    assert len(order) == 500
    assert order == soak_pages.order(500)
    for start in range(0, 480, 40):
        assert sorted(order[start : start + 40]) == list(range(40))
    assert max(Counter(order).values()) - min(Counter(order).values()) <= 1
    assert order[:40] != order[40:80]


def test_a_short_run_asks_for_the_first_pages_of_a_long_one() -> None:
    assert soak_pages.order(30) == soak_pages.order(500)[:30]


def test_every_page_read_within_the_budget_passes() -> None:
    assert soak_report.objections(track()) == []


def test_a_failed_page_does_not_pass() -> None:
    (why,) = soak_report.objections(track(failure="503 memory_pressure"))
    assert "1 pages failed; the first, 300x400: 503 memory_pressure" in why


def test_pages_that_were_not_asked_for_do_not_pass() -> None:
    (why,) = soak_report.objections(track(wanted=5))
    assert "3 pages were not asked for" in why


def test_the_budget_is_exceeded_by_whichever_measure_says_most() -> None:
    for found in (engines(held=4097), engines(peak=4097), engines(told=4097)):
        (why,) = soak_report.objections(track(reading(0, engines(held=10)), reading(1, found)))
        assert "held 4097 MiB, their budget is 4096 MiB" in why
    exactly = engines(held=4096, peak=4096, told=4096)
    assert soak_report.objections(track(reading(0, exactly))) == []


def test_readings_without_the_servers_word_still_count() -> None:
    silent = engines(held=5000, told=None)
    (why,) = soak_report.objections(track(reading(0, engines()), reading(1, silent)))
    assert "5000 MiB" in why
    (why,) = soak_report.objections(track(reading(0, silent)))
    assert "did not tell its budget" in why


def test_a_changed_pid_is_an_engine_that_ended_and_one_that_started() -> None:
    pids: list[tuple[int, ...]] = [(), (7,), (7, 8), (7, 9), ()]
    found = engine_events(reading(float(at), engines(*those)) for at, those in enumerate(pids))
    assert found == [
        EngineEvent(1.0, 7, "started"),
        EngineEvent(2.0, 8, "started"),
        EngineEvent(3.0, 8, "ended"),
        EngineEvent(3.0, 9, "started"),
        EngineEvent(4.0, 7, "ended"),
        EngineEvent(4.0, 9, "ended"),
    ]


def test_the_table_tells_memory_before_at_most_and_at_the_end() -> None:
    ours = track(
        reading(-1, engines(), 1500),
        reading(10, engines(7, held=900, peak=1000), 3000),
        reading(20, engines(8, held=950), 2900),
        reading(50, engines(), 1510),
    )
    peer = track(reading(-1, None, 800), reading(9, None, 2000), name="paddlex --serve")
    text = soak_report.section("ocr", 2, [ours, peer])
    # Of the two engines that are gone at the end, one ended while pages were read.
    assert (
        "| ocr-serve | 2 of 2 | 0 | 0.5 | 0.07 | 1.00 | 2.00 | 1500 | 3000 | 1510 | 1000 | 1 |"
        in text
    )
    assert (
        "| paddlex --serve | 2 of 2 | 0 | 0.5 | 0.07 | 1.00 | 2.00 | 800 | 2000 | 2000 |  |  |"
        in text
    )
    assert text.endswith("Budget of ocr-serve's engines: 4096 MiB; passed.")


async def test_a_failed_page_is_recorded_and_the_others_go_on() -> None:
    fake = FakeContender()
    requests = [page("a"), page("broken", b""), page("b"), page("nothing", b"blank")]
    found = await soak_run.run(fake, requests, QUICK)
    failures = {answer.page: answer.failure for answer in found.answers}
    assert failures == {
        "a": None,
        "b": None,
        "broken": "500 broken",
        "nothing": "an answer without text",
    }
    assert fake.stopped


async def test_a_page_that_is_not_answered_fails_at_its_deadline() -> None:
    limits = Limits(at_once=1, pages_s=60, deadline_s=0.01, before_s=0, after_s=0)
    found = await soak_run.run(FakeContender(), [page("slow"), page("a")], limits)
    assert [answer.failure for answer in found.answers] == ["no answer within 0.01 s", None]


async def test_no_page_is_sent_after_the_time_is_up() -> None:
    limits = Limits(at_once=2, pages_s=0, deadline_s=5, before_s=0, after_s=0)
    found = await soak_run.run(FakeContender(), [page("a"), page("b")], limits)
    assert (found.answers, found.wanted) == ([], 2)
    assert soak_report.section("ocr", 2, [found])


def test_the_picture_is_a_png(tmp_path: Path) -> None:
    ours = track(reading(0, engines(7, held=900)), reading(10, engines(8, held=900)))
    peer = track(reading(0, None), reading(10, None), name="paddlex --serve")
    soak_plot.draw([ours, peer], "a title", tmp_path / "soak.png")
    assert (tmp_path / "soak.png").read_bytes().startswith(b"\x89PNG")


def test_the_soaks_section_and_the_benchs_leave_each_other_alone(tmp_path: Path) -> None:
    file = tmp_path / "RESULTS.md"
    file.write_text("# Results\nA trial.\n\n### Pipeline `ocr`\n", encoding="utf-8")
    for round_ in ("first", "second"):
        store.write_tables("Soak, pipeline ocr: a machine, 2 cores", f"soak {round_}", file)
        store.write_tables("a machine, 2 cores", f"bench {round_}", file)
    text = file.read_text(encoding="utf-8")
    assert text.startswith("# Results\nA trial.\n\n### Pipeline `ocr`\n")
    assert [line for line in text.splitlines() if line.startswith(("soak", "bench"))] == [
        "soak second",
        "bench second",
    ]
