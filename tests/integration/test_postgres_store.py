"""Records in a real PostgreSQL: the same contract as the embedded store's, and two gateways of
which one is killed."""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from serve_app.errors import JobsUnavailable
from serve_app.jobs.stores import VARIABLE, stores_of
from serve_app.settings import JobSettings
from tests.e2e.server import free_port
from tests.e2e.waiting import eventually
from tests.integration.two_gateways import one_ends_without_a_word
from tests.unit.job_store_contract import BOUNDS, SPEC, JobStoreContract, a_job

asyncpg = pytest.importorskip("asyncpg", reason="the extra `postgres` is not installed")
from serve_app.jobs.postgres_store import PostgresStore  # noqa: E402

pytestmark = [pytest.mark.integration]

DATABASE = "postgres"  # there from the beginning
USER = "nobody"  # where the tests run as root, which PostgreSQL refuses


def program(name: str) -> str | None:
    """Debian keeps the server's programs out of PATH, by version."""
    there = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), reverse=True)
    return str(there[0]) if there else shutil.which(name)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The URL of a running server, without a database's name."""
    initdb, postgres = program("initdb"), program("postgres")
    if initdb is None or postgres is None:
        pytest.skip("postgresql is not installed")
    # Not below pytest's folder, which is for its own user only.
    folder, port = Path(tempfile.mkdtemp(prefix="ocr-pg-", dir="/tmp")), free_port()
    as_user = []
    if os.geteuid() == 0:
        user = pwd.getpwnam(USER)
        os.chown(folder, user.pw_uid, user.pw_gid)
        as_user = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
    common: dict[str, Any] = {
        "cwd": folder,
        "env": {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
        "stdout": subprocess.DEVNULL,
    }
    data = str(folder / "data")
    make = [initdb, "--auth=trust", "--username=ocr", "--encoding=UTF8", "--no-sync", data]
    settings = ("fsync=off", "listen_addresses=127.0.0.1", f"unix_socket_directories={folder}")
    options = [word for setting in settings for word in ("-c", setting)]
    process: subprocess.Popen[bytes] | None = None
    try:
        subprocess.run([*as_user, *make], check=True, timeout=120, **common)
        run = [postgres, "-D", data, "-p", str(port), *options]
        process = subprocess.Popen([*as_user, *run], stderr=subprocess.DEVNULL, **common)
        url = f"postgresql://ocr@127.0.0.1:{port}"

        def answers() -> bool:
            try:
                asyncio.run(execute(url, "SELECT 1"))
            except (asyncpg.PostgresError, OSError):
                return False
            return True

        eventually(answers, 60, "PostgreSQL answers")
        yield url
    finally:
        if process is not None:
            process.send_signal(2)  # SIGINT: it ends connections, and then itself
            process.wait(30)
        shutil.rmtree(folder, ignore_errors=True)


async def execute(url: str, sql: str) -> Any:
    connection = await asyncpg.connect(f"{url}/{DATABASE}", timeout=5)
    try:
        return await connection.fetch(sql)
    finally:
        await connection.close()


@pytest.fixture
async def url(server: str) -> str:
    """Of a database without our tables."""
    await execute(server, "DROP SCHEMA IF EXISTS ocr_serve CASCADE")
    return f"{server}/{DATABASE}"


@pytest.fixture
async def store(url: str) -> AsyncIterator[PostgresStore]:
    store = PostgresStore(url)
    yield store
    await store.close()


@pytest.fixture
async def other(url: str) -> AsyncIterator[PostgresStore]:
    store = PostgresStore(url)
    yield store
    await store.close()


class TestPostgresStore(JobStoreContract):
    """With a second store on the same database, as another gateway has it."""

    async def test_tables_are_made_once(self, store: PostgresStore, other: PostgresStore) -> None:
        secrets = await asyncio.gather(*(one.secret() for one in (store, other) * 4))
        assert len(set(secrets)) == 1

    async def test_a_name_with_a_zero_byte_is_found(self, store: PostgresStore) -> None:
        await store.add(a_job("j", batch="a\0b"), SPEC, BOUNDS)
        (found,) = await store.listed("alice", batch="a\0b", limit=9)
        assert found.batch == "a\0b"
        assert await store.get("x\0") is None

    async def test_a_connection_that_was_cut_is_made_anew(
        self, store: PostgresStore, server: str
    ) -> None:
        await store.add(a_job("j"), SPEC, BOUNDS)
        await execute(
            server,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()",
        )
        for _ in range(20):  # one that has not noticed yet may be tried first
            try:
                found = await store.get("j")
                break
            except JobsUnavailable:
                await asyncio.sleep(0.05)
        assert found == a_job("j")

    async def test_tables_of_another_version_are_left_alone(
        self, store: PostgresStore, other: PostgresStore, server: str
    ) -> None:
        await store.secret()
        sql = "UPDATE ocr_serve.facts SET value = '99' WHERE name = 'version'"
        await execute(server, sql)
        with pytest.raises(JobsUnavailable, match="version is b'99'"):
            await other.add(a_job("j"), SPEC, BOUNDS)


async def test_a_server_that_is_not_there_is_told_without_its_password() -> None:
    store = PostgresStore(f"postgresql://ocr:hunter2@127.0.0.1:{free_port()}/jobs")
    with pytest.raises(JobsUnavailable) as caught:
        await store.add(a_job("j"), SPEC, BOUNDS)
    assert "hunter2" not in str(caught.value)
    await store.close()


def test_it_is_configured_by_its_url(tmp_path: Path) -> None:
    for environ, records_url in (
        ({}, "postgresql://h/jobs"),
        ({VARIABLE: "postgres://u:p@h/jobs"}, None),
    ):
        settings = JobSettings(folder=tmp_path, records_url=records_url)
        assert isinstance(stores_of(settings, environ)[0], PostgresStore)


async def test_the_jobs_of_a_gateway_that_ends_without_a_word_go_on_in_another(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await one_ends_without_a_word(lambda: PostgresStore(url), tmp_path, monkeypatch)
