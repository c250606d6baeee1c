"""Weights are compared with their pins at a load, and once more when it is done."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from serve_app.errors import WeightsError
from serve_app.weights.load_check import LoadCheck
from serve_app.weights.pins import Pins, pins_of

REMEDY = "`ocr-serve weights pull det`"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    folder = tmp_path / "secret-place" / "det"
    folder.mkdir(parents=True)
    (folder / "inference.onnx").write_bytes(b"network")
    (folder / "inference.yml").write_bytes(b"{}")
    return folder


@pytest.fixture
def pins(directory: Path) -> Pins:
    return pins_of(directory)


def same_length(folder: Path) -> None:
    (folder / "inference.onnx").write_bytes(b"NETWORK")


def same_length_and_times(folder: Path) -> None:
    facts = (folder / "inference.onnx").stat()
    same_length(folder)
    os.utime(folder / "inference.onnx", ns=(facts.st_atime_ns, facts.st_mtime_ns))


def replaced(folder: Path) -> None:
    (folder / "new").write_bytes(b"NETWORK")
    (folder / "new").rename(folder / "inference.onnx")


def removed(folder: Path) -> None:
    (folder / "inference.yml").unlink()


def added(folder: Path) -> None:
    (folder / "inference.pdmodel").write_bytes(b"another")


def test_what_is_as_pinned_passes(directory: Path, pins: Pins) -> None:
    check = LoadCheck()
    check.check("det", directory, pins, REMEDY)
    check.assert_unchanged()


@pytest.mark.parametrize(
    ("change", "file", "what"),
    [
        (same_length, "inference.onnx", "has another SHA-256 than the pinned one"),
        (same_length_and_times, "inference.onnx", "has another SHA-256 than the pinned one"),
        (replaced, "inference.onnx", "has another SHA-256 than the pinned one"),
        (removed, "inference.yml", "is missing"),
        (added, "inference.pdmodel", "is not one of the model's files"),
    ],
)
def test_a_change_before_the_load_is_refused_by_name_without_the_servers_paths(
    directory: Path, pins: Pins, change: Callable[[Path], None], file: str, what: str
) -> None:
    change(directory)
    with pytest.raises(WeightsError) as caught:
        LoadCheck().check("det", directory, pins, REMEDY)
    assert str(caught.value) == (
        f"the weights of det are not those that were pinned: {file} {what}; {REMEDY}"
    )
    assert "secret-place" not in str(caught.value)
    assert (caught.value.status, caught.value.code) == (503, "weights_unavailable")


@pytest.mark.parametrize("change", [same_length, same_length_and_times, replaced, removed])
def test_a_change_while_it_loads_is_refused(
    directory: Path, pins: Pins, change: Callable[[Path], None]
) -> None:
    for path in directory.iterdir():  # long ago: the clock of file systems is coarse
        os.utime(path, ns=(0, 0))
    check = LoadCheck()
    check.check("det", directory, pins, REMEDY)
    change(directory)
    with pytest.raises(WeightsError, match="changed while it was loaded"):
        check.assert_unchanged()


def test_a_model_of_two_modules_is_hashed_once(directory: Path, pins: Pins) -> None:
    check = LoadCheck()
    check.check("det", directory, pins, REMEDY)
    (directory / "inference.onnx").chmod(0o400)  # seen by the second look only
    check.check("det", directory, {}, REMEDY)
    with pytest.raises(WeightsError, match="changed while"):
        check.assert_unchanged()


def test_a_file_that_nobody_loads_may_be_there(directory: Path, pins: Pins) -> None:
    (directory / "manifest.json").write_text("{}")
    LoadCheck().check("det", directory, pins, REMEDY, ignored=frozenset({"manifest.json"}))
