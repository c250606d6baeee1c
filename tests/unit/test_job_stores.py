from __future__ import annotations

import sqlite3
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from serve_app.errors import JobsUnavailable, StorageFull
from serve_app.jobs.folder import jobs_folder
from serve_app.jobs.local_files import LocalFiles
from serve_app.jobs.ports import FileStore
from serve_app.jobs.sqlite_store import SqliteStore
from serve_app.settings import JobSettings
from tests.unit.job_store_contract import (
    BOUNDS,
    SPEC,
    FileStoreContract,
    JobStoreContract,
    a_job,
)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(tmp_path / "new" / "jobs.sqlite3")
    yield store
    await store.close()


@pytest.fixture
async def other(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(tmp_path / "new" / "jobs.sqlite3")
    yield store
    await store.close()


class TestSqliteStore(JobStoreContract):
    """With a second store on the same file, as another process has it."""


class TestLocalFiles(FileStoreContract):
    @pytest.fixture
    def files(self, tmp_path: Path) -> LocalFiles:
        return LocalFiles(tmp_path / "jobs" / "files")


class TestObjectFiles(FileStoreContract):
    """In fsspec's own memory; ``tests/integration/test_shared_stores.py`` has a real S3 server."""

    @pytest.fixture
    def files(self, tmp_path: Path) -> FileStore:
        pytest.importorskip("fsspec")
        from serve_app.jobs.object_files import ObjectFiles

        return ObjectFiles(f"memory://{tmp_path.name}/jobs")


async def test_what_is_stored_is_for_its_user_only(tmp_path: Path) -> None:
    files = LocalFiles(tmp_path / "jobs" / "files")
    await files.put("j", "input", [b"x"])
    assert stat.S_IMODE((tmp_path / "jobs").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "jobs/files/j/input").stat().st_mode) == 0o600


async def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("")
    with pytest.raises(JobsUnavailable, match=r"Not a directory|File exists"):
        await LocalFiles(tmp_path / "x" / "files").put("j", "a", [b""])
    store = SqliteStore(tmp_path / "x" / "jobs.sqlite3")
    with pytest.raises(JobsUnavailable, match=r"jobs\.sqlite3"):
        await store.get("j")
    await store.close()


async def test_a_full_disk_is_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(StorageFull, match="No space left"):
        await LocalFiles(tmp_path).put("j", "a", [b"x"])
    assert list((tmp_path / "j").iterdir()) == []


async def test_a_database_of_another_version_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "jobs.sqlite3"
    db = sqlite3.connect(file)
    db.execute("PRAGMA user_version=99")
    db.close()
    store = SqliteStore(file)
    with pytest.raises(JobsUnavailable, match="version is 99"):
        await store.add(a_job("j"), SPEC, BOUNDS)
    await store.close()


def test_the_folder_is_where_state_is_kept(tmp_path: Path) -> None:
    settings = JobSettings()
    assert jobs_folder(settings, {"HOME": "/h"}) == Path("/h/.local/state/ocr-serve/jobs")
    state = {"HOME": "/h", "XDG_STATE_HOME": "/s"}
    assert jobs_folder(settings, state) == Path("/s/ocr-serve/jobs")
    assert jobs_folder(settings, {**state, "OCR_SERVE_STATE": "/var/lib/o"}) == Path(
        "/var/lib/o/jobs"
    )
    given = JobSettings(folder=tmp_path)
    assert jobs_folder(given, {"OCR_SERVE_STATE": "/var/lib/o"}) == tmp_path
