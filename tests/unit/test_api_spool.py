"""Answers have a bound each, and one together: a disk that is full is no surprise."""

from __future__ import annotations

import errno
from typing import Any

import pytest

from serve_app.api.spool import Spool, Spools
from serve_app.document import PageInfo, PageResult
from serve_app.errors import AnswerTooLarge, SpoolFull, StorageFull
from serve_app.testing.service import FakeDocumentService, canned_page, fake_settings
from tests import documents
from tests.http_client import b64, http_client


def spools(answer: int = 100, together: int = 150) -> Spools:
    return Spools(
        fake_settings(
            limits={"max_answer_bytes": answer}, gateway={"max_spool_bytes_total": together}
        )
    )


async def test_an_answer_above_its_limit_is_not_written_on() -> None:
    spool = spools().spool()
    await spool.append(lambda: [b"x" * 100])
    with pytest.raises(AnswerTooLarge, match=r"101.*100.*limits\.max_answer_bytes"):
        await spool.append(lambda: [b"y"])
    assert spool.size_bytes == 100
    spool.close()


async def test_all_answers_together_have_a_limit_and_give_back_what_they_had() -> None:
    owner = spools()
    first, second = owner.spool(), owner.spool()
    await first.append(lambda: [b"x" * 100])
    with pytest.raises(SpoolFull, match=r"gateway\.max_spool_bytes_total"):
        await second.append(lambda: [b"y" * 51])
    first.close()
    first.close()
    await second.append(lambda: [b"y" * 51])
    second.close()
    assert owner.budget.used_bytes == 0


async def test_a_disk_without_room_is_a_503() -> None:
    spool = spools().spool()
    full(spool, errno.ENOSPC)
    with pytest.raises(StorageFull, match=r"no room for the answer in .* are free") as caught:
        await spool.append(lambda: [b"x"])
    assert (caught.value.status, caught.value.code) == (503, "storage_full")
    assert "/" not in caught.value.client_message
    full(spool, errno.EIO)
    with pytest.raises(OSError, match="broken"):
        await spool.append(lambda: [b"x"])
    spool.close()


def full(spool: Spool, number: int) -> None:
    class Disk:
        closed = False

        def write(self, piece: bytes) -> None:
            raise OSError(number, "broken")

        flush = write

        def close(self) -> None:
            self.closed = True

    disk: Any = Disk()
    spool._file.close()
    spool._file = disk


@pytest.mark.parametrize("path", ["/v1/parse", "/ocr"])
async def test_an_answer_that_grows_too_large_is_an_error_that_names_the_limit(path: str) -> None:
    def long(page: PageInfo) -> PageResult:
        return canned_page(page, lines=["x" * 1000])

    settings = fake_settings(limits={"max_answer_bytes": 1000})
    async with http_client(FakeDocumentService(page=long), settings) as client:
        png = documents.picture("png")
        answer = (
            await client.post(path, content=png)
            if path == "/v1/parse"
            else await client.post(path, json={"file": b64(png)})
        )
    assert answer.status_code == 422
    assert "limits.max_answer_bytes" in answer.text
