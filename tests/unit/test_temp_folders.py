"""Temporary folders: gone after use, and swept when their owner was killed, and only then."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from serve_app.temp_folders import sweep, temp_folder

HOLD = "from serve_app.temp_folders import temp_folder\nwith temp_folder() as f: print(f); input()"


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary files, of children too."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


@pytest.fixture
def owner() -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """Another process, with a folder that has a file in it."""
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", HOLD], stdin=pipe, stdout=pipe, text=True) as one:
        assert one.stdout is not None
        folder = Path(one.stdout.readline().strip())
        (folder / "page.docx").write_bytes(b"x")
        yield one, folder
        one.kill()


def test_a_folder_is_gone_after_its_block(place: Path) -> None:
    with temp_folder() as folder:
        assert folder.parent == place
        (folder / "file").touch()
    assert list(place.iterdir()) == []


def test_a_folder_is_gone_after_a_failure(place: Path) -> None:
    with pytest.raises(RuntimeError), temp_folder():
        raise RuntimeError
    assert list(place.iterdir()) == []


def test_the_folder_of_a_living_process_stays(
    owner: tuple[subprocess.Popen[str], Path],
) -> None:
    process, folder = owner
    with temp_folder() as own:
        assert sweep() == 0
        assert own.is_dir()
    assert process.poll() is None
    assert (folder / "page.docx").is_file()


def test_the_folder_of_a_killed_process_is_swept(
    owner: tuple[subprocess.Popen[str], Path],
) -> None:
    process, folder = owner
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert folder.is_dir()
    assert sweep() == 1
    assert not folder.exists()


def test_a_process_that_has_the_pid_now_is_not_the_owner(place: Path) -> None:
    with temp_folder() as folder:
        names = folder.name.split(".")
        earlier = place / ".".join([*names[:3], str(int(names[3]) - 1), "x"])
        earlier.mkdir()
        assert sweep() == 1
        assert list(place.iterdir()) == [folder]


@pytest.mark.parametrize("name", ["ocr-serve-docx-abc", "other.1.999999999.1.x", "ocr-serve.a.b"])
def test_what_does_not_have_our_name_stays(place: Path, name: str) -> None:
    (place / name).mkdir()
    assert sweep() == 0
    assert (place / name).is_dir()


def test_a_folder_of_another_pid_namespace_stays(place: Path) -> None:
    """A container that shares the folder: its processes cannot be seen from here."""
    (place / "ocr-serve.1.999999999.1.x").mkdir()
    assert sweep() == 0


def test_files_links_and_folders_of_others_stay(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    namespace = os.stat("/proc/self/ns/pid").st_ino
    dead = f"ocr-serve.{namespace}.999999999.1."
    target = place / "target"
    target.mkdir()
    (place / f"{dead}link").symlink_to(target)
    (place / f"{dead}file").touch()
    assert sweep() == 0
    (place / f"{dead}folder").mkdir()
    uid = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: uid + 1)
    assert sweep() == 0
    monkeypatch.undo()
