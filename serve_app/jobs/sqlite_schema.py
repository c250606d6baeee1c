"""The tables of the embedded store. Records are JSON; what is searched for has columns beside."""

from __future__ import annotations

import os
import sqlite3
import time
from pathlib import Path

VERSION = 1
# Another process may be writing: a page, a few milliseconds.
BUSY_TIMEOUT_S = 20.0

_SCHEMA = """
CREATE TABLE jobs (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    owner TEXT NOT NULL,
    state TEXT NOT NULL,
    priority TEXT NOT NULL,
    model TEXT NOT NULL,
    batch TEXT,
    idempotency_key TEXT,
    not_before REAL NOT NULL,
    lease_until REAL,
    deadline_at REAL NOT NULL,
    expires_at REAL,
    stored_bytes INTEGER NOT NULL,
    job TEXT NOT NULL,
    spec TEXT NOT NULL
);
CREATE INDEX jobs_by_turn ON jobs
    (state, priority, owner, number, not_before, deadline_at, model, lease_until);
CREATE INDEX jobs_by_owner ON jobs (owner, number);
CREATE INDEX jobs_by_batch ON jobs (owner, batch) WHERE batch IS NOT NULL;
CREATE INDEX jobs_by_expiry ON jobs (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX jobs_by_bytes ON jobs (stored_bytes);
CREATE UNIQUE INDEX jobs_by_key ON jobs (owner, idempotency_key)
    WHERE idempotency_key IS NOT NULL;
CREATE TABLE pages (
    job_id TEXT NOT NULL,
    page INTEGER NOT NULL,
    number INTEGER NOT NULL,
    size_bytes INTEGER NOT NULL,
    code TEXT,
    message TEXT,
    PRIMARY KEY (job_id, page)
) WITHOUT ROWID;
CREATE UNIQUE INDEX pages_by_number ON pages (job_id, number);
CREATE TABLE owners (owner TEXT PRIMARY KEY, served REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE secrets (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
"""
# In the record only: a column would be another version of the tables.
CALLBACK_AT = "json_extract(job, '$.callback_at')"
_CALLBACKS = (
    f"CREATE INDEX IF NOT EXISTS jobs_by_callback ON jobs ({CALLBACK_AT}) "
    f"WHERE {CALLBACK_AT} IS NOT NULL"
)


def connect(file: Path) -> sqlite3.Connection:
    """A connection that is used by one thread at a time.

    Raises:
        sqlite3.Error: it cannot be opened, or is of another version.
    """
    connection = sqlite3.connect(
        file, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
    )
    try:
        _use_log(connection)
        # The log is written through with each transaction: what was answered survives a power cut.
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")
        _create(connection)
        connection.execute(_CALLBACKS)
    except BaseException:
        connection.close()
        raise
    return connection


def _use_log(connection: sqlite3.Connection) -> None:
    """Readers do not wait for writers then. Kept in the file; SQLite does not wait for others who
    switch, or look, at the same moment."""
    until = time.monotonic() + BUSY_TIMEOUT_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL").fetchall()
            return
        except sqlite3.OperationalError:
            if time.monotonic() > until:
                raise
            time.sleep(0.01)


def _create(connection: sqlite3.Connection) -> None:
    if _version(connection) == VERSION:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        found = _version(connection)  # another process may have been faster
        if found == 0:
            for statement in _SCHEMA.split(";")[:-1]:
                connection.execute(statement)
            secret = os.urandom(32)
            connection.execute("INSERT INTO secrets VALUES ('urls', ?)", (secret,))
            connection.execute(f"PRAGMA user_version={VERSION}")
        elif found != VERSION:
            raise sqlite3.DatabaseError(f"its version is {found}, and {VERSION} is known here")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _version(connection: sqlite3.Connection) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)
