"""The tables in PostgreSQL, in a schema of their own. Records are JSON; what is searched for has
columns beside."""

from __future__ import annotations

import os
from typing import Any

VERSION = 1
# Taken for the length of a transaction, by their numbers: who adds or removes, who claims, and
# who makes the tables. Numbers of ours: the database may be others', too.
ADDING, CLAIMING, CREATING = 7_240_601, 7_240_602, 7_240_603
LOCK = "SELECT pg_advisory_xact_lock($1)"

_SCHEMA = """
CREATE SCHEMA ocr_serve;
CREATE TABLE ocr_serve.jobs (
    number BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    owner TEXT NOT NULL,
    kind TEXT NOT NULL,
    state TEXT NOT NULL,
    priority TEXT NOT NULL,
    model TEXT NOT NULL,
    batch TEXT,
    idempotency_key TEXT,
    not_before DOUBLE PRECISION NOT NULL,
    lease_until DOUBLE PRECISION,
    deadline_at DOUBLE PRECISION NOT NULL,
    expires_at DOUBLE PRECISION,
    callback_at DOUBLE PRECISION,
    stored_bytes BIGINT NOT NULL,
    job TEXT NOT NULL,
    spec TEXT NOT NULL
);
CREATE INDEX ON ocr_serve.jobs (priority, owner, number)
    INCLUDE (id, state, model, not_before, lease_until, deadline_at)
    WHERE state IN ('queued', 'running');
CREATE INDEX ON ocr_serve.jobs (deadline_at) WHERE state IN ('queued', 'running');
CREATE INDEX ON ocr_serve.jobs (owner, number);
CREATE INDEX ON ocr_serve.jobs (kind, owner, stored_bytes);
CREATE INDEX ON ocr_serve.jobs (owner, batch) WHERE batch IS NOT NULL;
CREATE INDEX ON ocr_serve.jobs (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX ON ocr_serve.jobs (callback_at) WHERE callback_at IS NOT NULL;
CREATE UNIQUE INDEX ON ocr_serve.jobs (owner, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE TABLE ocr_serve.pages (
    job_id TEXT NOT NULL,
    page INTEGER NOT NULL,
    number INTEGER NOT NULL,
    record TEXT NOT NULL,
    PRIMARY KEY (job_id, page)
);
CREATE UNIQUE INDEX ON ocr_serve.pages (job_id, number);
CREATE TABLE ocr_serve.owners (owner TEXT PRIMARY KEY, served DOUBLE PRECISION NOT NULL);
CREATE TABLE ocr_serve.facts (name TEXT PRIMARY KEY, value BYTEA NOT NULL);
"""


class OtherVersion(Exception):
    """The tables are those of another version. Args: message."""


async def create(connection: Any) -> None:
    """Make the tables if they are not there.

    Raises:
        OtherVersion: they are not these.
    """
    async with connection.transaction():
        await connection.execute(LOCK, CREATING)
        if await connection.fetchval("SELECT to_regclass('ocr_serve.facts')") is None:
            await connection.execute(_SCHEMA)
            for name, value in (("version", str(VERSION).encode()), ("secret", os.urandom(32))):
                await connection.execute("INSERT INTO ocr_serve.facts VALUES ($1, $2)", name, value)
        found = await connection.fetchval(
            "SELECT value FROM ocr_serve.facts WHERE name = 'version'"
        )
    if found != str(VERSION).encode():
        raise OtherVersion(f"its version is {found!r}, and {VERSION} is known here")
