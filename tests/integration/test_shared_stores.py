"""The stores for several machines, against a real Redis and a real S3 server: the same contract as
the embedded one's, and two gateways of which one is killed. ``test_postgres_store.py`` is the other
one for records."""

from __future__ import annotations

import shutil
import subprocess
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from serve_app.errors import JobsUnavailable
from serve_app.jobs.stores import VARIABLE, stores_of
from serve_app.settings import JobSettings
from tests.client_environment import python_with
from tests.e2e.server import free_port
from tests.e2e.waiting import eventually
from tests.integration.two_gateways import one_ends_without_a_word
from tests.unit.job_store_contract import (
    BOUNDS,
    SPEC,
    FileStoreContract,
    JobStoreContract,
    a_job,
)

redis = pytest.importorskip("redis", reason="the extra `redis` is not installed")
from serve_app.jobs.redis_keys import Keys  # noqa: E402
from serve_app.jobs.redis_store import RedisStore  # noqa: E402

pytestmark = [pytest.mark.integration]


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    command = shutil.which("redis-server")
    if command is None:
        pytest.skip("redis-server is not installed")
    port, folder = free_port(), tmp_path_factory.mktemp("redis")
    arguments = ["--port", str(port), "--dir", str(folder), "--save", "", "--bind", "127.0.0.1"]
    process = subprocess.Popen([command, *arguments], stdout=subprocess.DEVNULL)
    try:
        url = f"redis://127.0.0.1:{port}/0"

        def answers() -> bool:
            try:
                return bool(redis.Redis.from_url(url).ping())
            except redis.RedisError:
                return False

        eventually(answers, 30, "Redis answers")
        yield url
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture
def keys() -> Keys:
    """Of one test."""
    return Keys(f"{{{uuid.uuid4().hex}}}:")


@pytest.fixture
async def store(redis_url: str, keys: Keys) -> AsyncIterator[RedisStore]:
    store = RedisStore(redis_url, keys)
    yield store
    await store.close()


@pytest.fixture
async def other(redis_url: str, keys: Keys) -> AsyncIterator[RedisStore]:
    store = RedisStore(redis_url, keys)
    yield store
    await store.close()


class TestRedisStore(JobStoreContract):
    """With a second store on the same keys, as another gateway has it."""

    async def test_counters_are_what_the_jobs_say(self, store: RedisStore, keys: Keys) -> None:
        """After every kind of change, all of them are back at nothing."""
        await self.add(store, *(a_job(str(n), idempotency_key=str(n), batch="b") for n in range(4)))
        await self.claim(store, "t")
        await self.add(store, a_job("u", kind="upload", state="done", batch="uploads"))
        for name in ("0", "1", "2", "3", "u"):
            await store.remove(name)
        client = redis.Redis.from_url(self.url(store))
        left = {key.decode().rsplit(":", 1)[-1] for key in client.keys(keys("*"))}
        assert left <= {"totals", "open", "waiting", "running", "served", "number"} | {
            "adding",
            "claiming",
            "uploads",
            "upload_bytes",
        }
        for name in ("totals", "open", "waiting", "running", "uploads", "upload_bytes"):
            assert set(client.hvals(keys(name))) <= {b"0"}, name

    def url(self, store: RedisStore) -> str:
        args = store._redis.connection_pool.connection_kwargs
        return f"redis://{args['host']}:{args['port']}/0"


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """The endpoint of an S3 server with a bucket."""
    pytest.importorskip("s3fs", reason="the extra `s3` is not installed")
    python, port = python_with("moto[server]==5.1.22"), free_port()
    process = subprocess.Popen(
        [str(python), "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={"PATH": "/usr/bin:/bin"},
    )
    endpoint = f"http://127.0.0.1:{port}"
    try:
        import httpx

        def answers() -> bool:
            try:
                return httpx.get(f"{endpoint}/moto-api/data.json").status_code == 200
            except httpx.TransportError:
                assert process.poll() is None
                return False

        eventually(answers, 60, "the S3 server answers")
        yield endpoint
    finally:
        process.terminate()
        process.wait(30)


class TestObjectFiles(FileStoreContract):
    @pytest.fixture
    def files(self, s3: str) -> Any:
        import s3fs

        from serve_app.jobs.object_files import ObjectFiles

        options = {"key": "k", "secret": "s", "client_kwargs": {"endpoint_url": s3}}
        bucket = f"b{uuid.uuid4().hex}"
        s3fs.S3FileSystem(**options).mkdir(bucket)
        return ObjectFiles(f"s3://{bucket}/ocr/jobs", **options)

    async def test_a_large_file_is_one_object(self, files: Any) -> None:
        data = bytes(12 * 2**20)
        assert await files.put("j", "input", [data, b"end"]) == len(data) + 3
        assert await files.get("j", "input") == data + b"end"


async def test_a_redis_that_is_not_there_is_told_without_its_password() -> None:
    store = RedisStore(f"redis://:hunter2@127.0.0.1:{free_port()}/0")
    with pytest.raises(JobsUnavailable) as caught:
        await store.add(a_job("j"), SPEC, BOUNDS)
    assert "hunter2" not in str(caught.value)
    await store.close()


def test_which_stores_are_configured(tmp_path: Path) -> None:
    def made(environ: dict[str, str], **own: Any) -> list[str]:
        settings = JobSettings(folder=tmp_path, **own)
        return [type(one).__name__ for one in stores_of(settings, environ)]

    assert made({}) == ["SqliteStore", "LocalFiles"]
    assert made({}, records_url="redis://127.0.0.1/3") == ["RedisStore", "LocalFiles"]
    assert made({VARIABLE: "rediss://:x@127.0.0.1/"}) == ["RedisStore", "LocalFiles"]
    assert made({}, files_url="memory://jobs") == ["SqliteStore", "ObjectFiles"]
    for own in ({"records_url": "http://x"}, {"files_url": "file:///x"}, {"files_url": "zzz://x"}):
        with pytest.raises(ValueError, match=r"jobs\."):
            made({}, **own)


async def test_the_jobs_of_a_gateway_that_ends_without_a_word_go_on_in_another(
    redis_url: str, keys: Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await one_ends_without_a_word(lambda: RedisStore(redis_url, keys), tmp_path, monkeypatch)
