"""Weights in a directory of the operator's: pinned in a file, fetched from a hub, checked."""

from __future__ import annotations

import argparse
import shutil
import subprocess
from pathlib import Path

import pytest
from pydantic import ValidationError

from serve_app.command import weights as cli_weights
from serve_app.errors import WeightsError
from serve_app.settings import WeightsSettings
from serve_app.weights import hashes_file, hub_fetch
from serve_app.weights.errors import FetchFailed, HashMismatch

HEX = "ab" * 32


@pytest.fixture
def models(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    for name in ("rec", "det"):
        (folder / name / "sub").mkdir(parents=True)
        (folder / name / "inference.yml").write_text(f"{{name: {name}}}")
        (folder / name / "sub" / "a name.bin").write_bytes(b"w" * 5000)
    (folder / "notes").mkdir()
    return folder


def run(*words: str) -> int:
    parser = argparse.ArgumentParser("ocr-serve")
    cli_weights.add_parser(parser.add_subparsers(required=True))
    arguments = parser.parse_args(["weights", *words])
    return int(arguments.handler(arguments))


@pytest.fixture
def hashes(models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """What ``pin`` prints."""
    assert run("pin", str(models)) == 0
    file = tmp_path / "weights.sha256"
    file.write_text(capsys.readouterr().out)
    return file


def test_pin_prints_what_sha256sum_reads(models: Path, hashes: Path) -> None:
    names = [line.split("  ", 1)[1] for line in hashes.read_text().splitlines()]
    assert names == [
        *("det/inference.yml", "det/sub/a name.bin"),
        *("rec/inference.yml", "rec/sub/a name.bin"),
    ]
    command = ["sha256sum", "--check", "--strict", "--quiet", str(hashes)]
    assert subprocess.run(command, cwd=models, timeout=30).returncode == 0
    assert set(hashes_file.read(hashes)) == {"det", "rec"}


def test_pin_of_a_folder_without_models_is_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("pin", str(tmp_path)) == 1
    assert "no folder with an inference.yml" in capsys.readouterr().err


def test_check_finds_a_change_of_the_same_length(
    models: Path, hashes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("check", str(models), "--hashes-file", str(hashes)) == 0
    (models / "det" / "sub" / "a name.bin").write_bytes(b"W" * 5000)
    assert run("check", str(models), "--hashes-file", str(hashes)) == 1
    assert capsys.readouterr().out.splitlines()[-2:] == [
        f"det: {models}/det/sub/a name.bin has another SHA-256 than the pinned one",
        "2 models, 1 differences",
    ]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("not a line", "line 2: should be a SHA-256, two spaces and MODEL/FILE"),
        (f"{HEX}  /etc/passwd", "line 2: should be"),
        (f"{HEX}  det/../../etc/passwd", "line 2: should be"),
        (f"{HEX}  alone", "line 2: should be"),
        (f"{HEX.upper()}  det/a", "line 2: should be"),
        (f"{HEX[:-1]}  det/a", "line 2: should be"),
        (f"{HEX} *det/inference.yml", "line 2: det/inference.yml is there twice"),
    ],
)
def test_a_line_that_is_none_is_named(tmp_path: Path, line: str, says: str) -> None:
    file = tmp_path / "weights.sha256"
    file.write_text(f"{HEX}  det/inference.yml\n{line}\n")
    with pytest.raises(WeightsError, match=says):
        hashes_file.read(file)


def test_a_missing_file_of_hashes_is_told_without_its_path(tmp_path: Path) -> None:
    with pytest.raises(WeightsError) as caught:
        hashes_file.read(tmp_path / "secret-place")
    assert str(caught.value) == "weights.hashes_file cannot be read: No such file or directory"


@pytest.mark.parametrize(
    "settings",
    [
        {"source": "directory", "directory": "/models"},
        {"source": "directory", "hashes_file": "/h"},
        {"source": "bundled", "hashes_file": "/h"},
        {"source": "hub", "directory": "/models"},
    ],
)
def test_a_directory_without_hashes_is_no_configuration(settings: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match="required there"):
        WeightsSettings.model_validate(settings)


# --- from a hub ------------------------------------------------------------------------------


class FakeHub:
    """Stands for PaddleX's download: copies of these models, with a hub's hidden notes."""

    def __init__(self, models: Path, work: Path) -> None:
        self.models, self.work = models, work
        self.downloads: list[str] = []

    def __call__(self, name: str) -> Path:
        self.downloads.append(name)
        if not (self.models / name).is_dir():
            raise ConnectionError("no such model")
        copy = self.work / "official_models" / name
        shutil.copytree(self.models / name, copy)
        (copy / ".cache").mkdir()
        (copy / ".cache" / "time").write_text(str(len(self.downloads)))
        return copy


@pytest.fixture
def hub(models: Path, tmp_path: Path) -> FakeHub:
    return FakeHub(models, tmp_path / "hub")


def left(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_fetch_brings_models_as_they_were_pinned_without_the_hubs_notes(
    hub: FakeHub, hashes: Path, tmp_path: Path
) -> None:
    pins, target = hashes_file.read(hashes), tmp_path / "target"
    hub_fetch.fetch(["det", "rec", "det"], target, pins, hub)
    assert left(target) == {"det", "rec"}
    assert run("check", str(target), "--hashes-file", str(hashes)) == 0

    hub_fetch.fetch(["det", "rec"], target, pins, hub)
    assert hub.downloads == ["det", "rec"], "what is there is not fetched again"


def test_fetch_refuses_another_content_and_leaves_nothing(
    hub: FakeHub, hashes: Path, tmp_path: Path, models: Path
) -> None:
    (models / "det" / "inference.yml").write_text("{name: dot}")
    with pytest.raises(HashMismatch, match=r"det: inference\.yml has another SHA-256"):
        hub_fetch.fetch(["det"], tmp_path / "target", hashes_file.read(hashes), hub)
    assert left(tmp_path / "target") == set()


def test_fetch_compares_what_is_there(hub: FakeHub, hashes: Path, models: Path) -> None:
    (models / "det" / "inference.yml").write_text("{name: dot}")
    with pytest.raises(HashMismatch, match=r"det: inference\.yml has another SHA-256"):
        hub_fetch.fetch(["det"], models, hashes_file.read(hashes), hub)


def test_fetch_of_a_model_that_is_not_pinned_asks_no_hub(
    hub: FakeHub, hashes: Path, tmp_path: Path
) -> None:
    with pytest.raises(HashMismatch, match="no file of other is pinned"):
        hub_fetch.fetch(["other"], tmp_path / "target", hashes_file.read(hashes), hub)
    assert hub.downloads == []


def test_a_failure_of_the_hub_is_a_typed_error(hub: FakeHub, tmp_path: Path) -> None:
    with pytest.raises(FetchFailed, match="not brought other: ConnectionError: no such model"):
        hub_fetch.fetch(["other"], tmp_path / "target", None, hub)
    assert left(tmp_path / "target") == set()


def test_fetch_without_any_name_says_what_to_give(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_fetch, "keep_paddlex_below", lambda folder: None)
    assert run("fetch", str(tmp_path / "target")) == 1
    assert "give MODEL, --config or --hashes-file" in capsys.readouterr().err


def test_fetch_by_a_file_of_hashes_brings_all_that_it_names(
    hub: FakeHub,
    hashes: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(hub_fetch, "keep_paddlex_below", lambda folder: None)
    monkeypatch.setattr(hub_fetch, "paddlex_download", hub)
    target = tmp_path / "target"
    assert run("fetch", str(target), "--hashes-file", str(hashes)) == 0
    assert capsys.readouterr().out == "det\nrec\n"
    assert left(target) == {"det", "rec"}
