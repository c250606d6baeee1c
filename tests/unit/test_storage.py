"""A disk without room, by a limit on the size of files: typed, told, and nothing half-written."""

from __future__ import annotations

import errno
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from serve_app.api.errors import to_http
from serve_app.api.page_store import PageStore
from serve_app.api.spool import SPOOL_MEMORY_BYTES, Spools
from serve_app.document import PageInfo
from serve_app.errors import StorageFull
from serve_app.storage import free_bytes, is_full, no_room_for
from serve_app.testing.service import canned_page, fake_settings
from serve_app.weights import store as weights
from serve_app.weights.bundled import Wheel
from serve_app.weights.errors import NoRoom
from serve_app.weights.store import pull
from serve_app.weights.wheel_fetch import OnBytes

ROOM = SPOOL_MEMORY_BYTES + 100_000


@pytest.fixture
def small_files() -> Iterator[None]:
    """No file of this process gets larger than ``ROOM``; the kernel says EFBIG then."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (ROOM, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.usefixtures("small_files")
async def test_an_answer_that_finds_no_room_is_typed_and_the_next_one_is_written() -> None:
    spools = Spools(fake_settings())
    spool = spools.spool()
    await spool.append(lambda: [b"x" * 500_000])
    with pytest.raises(StorageFull, match="no room for the answer"):
        await spool.append(lambda: [b"x" * 1_000_000])
    spool.close()
    assert spools.budget.used_bytes == 0
    small = spools.spool()
    await small.append(lambda: [b"x" * 500_000])
    await small.rewind()
    assert len(await small.read(10**6)) == 500_000
    small.close()


@pytest.mark.usefixtures("small_files")
async def test_pages_that_find_no_room_are_typed() -> None:
    page = canned_page(PageInfo(0, 64, 48), lines=["x" * 2 * ROOM])
    with PageStore() as store, pytest.raises(StorageFull, match="the pages of the document"):
        await store.append(page)


def test_a_full_disk_anywhere_is_a_503_and_no_500() -> None:
    told = to_http(OSError(errno.ENOSPC, "No space left on device", "/tmp/secret"))
    assert (told.status, told.code) == (503, "storage_full")
    assert "secret" not in told.message
    assert told.headers["Retry-After"]
    assert to_http(OSError(errno.EIO, "broken")).status == 500
    assert not is_full(ValueError())


def test_the_sentence_has_folder_needed_and_free(tmp_path: Path) -> None:
    text = no_room_for("the weights", tmp_path / "not" / "there", 61_500_000)
    assert text.startswith(f"no room for the weights in {tmp_path}/not/there: 61.5 MB are needed")
    assert text.endswith("MB are free")
    assert free_bytes(tmp_path / "not") == pytest.approx(free_bytes(tmp_path), rel=0.1)


def test_a_pull_without_room_says_so_before_it_fetches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights, "free_bytes", lambda folder: 30_000_000)

    def download(wheel: Wheel, folder: Path, on_bytes: OnBytes) -> Path:
        raise AssertionError("not fetched")

    with pytest.raises(NoRoom, match=r"are needed, and .* MB are free") as caught:
        pull(["PP-OCRv6_small_rec"], tmp_path, download=download)
    assert str(tmp_path) in str(caught.value)
    assert not list(tmp_path.rglob("*.onnx"))


def test_a_disk_that_fills_up_meanwhile_leaves_nothing(tmp_path: Path) -> None:
    def download(wheel: Wheel, folder: Path, on_bytes: OnBytes) -> Path:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(NoRoom, match="no room for the weights in"):
        pull(["PP-OCRv6_small_rec"], tmp_path, download=download)
    assert not (tmp_path / "weights" / ".partial").exists()
