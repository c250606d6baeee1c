"""The folder of a run of Ray: private, short enough for its sockets, and swept after a kill."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from serve_app.command import runtime_folder
from serve_app.command.runtime_folder import (
    LONGEST_SOCKET,
    MAX_PATH_BYTES,
    SOCKET_PATH_BYTES,
    RuntimeFolderError,
    open_folder,
)

ROOT = Path(__file__).parents[2]
HOLD = """
import sys
from pathlib import Path
from serve_app.command import runtime_folder
runtime_folder.MAX_PATH_BYTES = 4096
folder = runtime_folder.open_folder(Path(sys.argv[1]))
print(folder.path, flush=True)
sys.stdin.readline()
"""


@pytest.fixture(autouse=True)
def paths_of_tests_may_be_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime_folder, "MAX_PATH_BYTES", 4096)


@pytest.fixture
def owner(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """Another process with a folder of its own that has files in it."""
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True) as one:
        assert one.stdout is not None
        folder = Path(one.stdout.readline().strip())
        assert folder.is_absolute()
        (folder / "ray" / "session").mkdir(parents=True)
        (folder / "ray" / "session" / "worker.log").write_text("x")
        yield one, folder
        one.kill()


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def test_nobody_else_can_enter_it_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        folder = open_folder(tmp_path)
    finally:
        os.umask(before)
    assert mode(folder.path) == mode(folder.path.parent) == 0o700
    assert folder.path.parent == tmp_path / f"ocr-serve-{os.getuid()}"
    assert folder.ray.parent == folder.path
    folder.close(keep=False)


def test_it_is_gone_after_a_run_and_left_after_a_failure(tmp_path: Path) -> None:
    done, failed = open_folder(tmp_path), open_folder(tmp_path)
    for folder in (done, failed):
        folder.ray.mkdir()
        (folder.ray / "raylet.out").write_text("why")
    done.close(keep=False)
    failed.close(keep=True)
    assert not done.path.exists()
    assert (failed.ray / "raylet.out").read_text() == "why"

    open_folder(tmp_path).close(keep=False)

    assert not failed.path.exists(), "the next start removes it"


def test_the_folder_of_a_living_run_is_left_alone(
    tmp_path: Path, owner: tuple[subprocess.Popen[str], Path]
) -> None:
    _, theirs = owner
    ours = open_folder(tmp_path)
    assert theirs.is_dir()
    assert ours.path != theirs
    ours.close(keep=False)
    assert theirs.is_dir()


def test_the_folder_of_a_killed_run_is_swept_by_the_next(
    tmp_path: Path, owner: tuple[subprocess.Popen[str], Path]
) -> None:
    process, theirs = owner
    process.kill()
    process.wait(10)
    assert theirs.is_dir()
    open_folder(tmp_path).close(keep=False)
    assert not theirs.exists()


def test_a_folder_that_was_open_to_others_is_closed(tmp_path: Path) -> None:
    home = tmp_path / f"ocr-serve-{os.getuid()}"
    home.mkdir()
    home.chmod(0o777)
    folder = open_folder(tmp_path)
    assert mode(home) == 0o700
    folder.close(keep=False)


def test_a_link_in_its_place_is_refused(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / f"ocr-serve-{os.getuid()}").symlink_to(elsewhere)
    with pytest.raises(RuntimeFolderError, match="not a folder of yours"):
        open_folder(tmp_path)
    assert list(elsewhere.iterdir()) == []


def test_a_folder_of_somebody_else_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    me = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: me + 1)
    (tmp_path / f"ocr-serve-{me + 1}").mkdir()
    with pytest.raises(RuntimeFolderError, match="not a folder of yours"):
        open_folder(tmp_path)


def test_a_path_that_is_too_long_for_rays_sockets_names_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime_folder, "MAX_PATH_BYTES", MAX_PATH_BYTES)
    deep = tmp_path / ("d" * MAX_PATH_BYTES)
    with pytest.raises(RuntimeFolderError, match=f"{SOCKET_PATH_BYTES} bytes"):
        open_folder(deep)


def test_the_longest_socket_of_the_largest_uid_and_pid_fits_below_tmp() -> None:
    folder = f"/tmp/ocr-serve-{2**32 - 2}/abcdefgh"
    assert len(folder) <= MAX_PATH_BYTES
    assert len(f"{folder}/ray{LONGEST_SOCKET}") <= SOCKET_PATH_BYTES
