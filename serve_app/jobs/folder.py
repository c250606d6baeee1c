"""The embedded store: a folder with a database of records, and one with the files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from serve_app.jobs.local_files import LocalFiles
from serve_app.jobs.sqlite_store import SqliteStore
from serve_app.settings import JobSettings

VARIABLE = "OCR_SERVE_STATE"


def jobs_folder(settings: JobSettings, environ: Mapping[str, str]) -> Path:
    """The configured folder; else below the variable, or where a user's programs keep state.

    Not in a cache or a temporary folder: what is there may be deleted at any time.
    """
    if settings.folder is not None:
        return settings.folder
    if state := environ.get(VARIABLE):
        return Path(state) / "jobs"
    home = Path(environ.get("HOME", "/nonexistent"))
    state_home = environ.get("XDG_STATE_HOME") or home / ".local" / "state"
    return Path(state_home) / "ocr-serve" / "jobs"


def stores(folder: Path) -> tuple[SqliteStore, LocalFiles]:
    """Its two halves; nothing is opened or made yet."""
    return SqliteStore(folder / "jobs.sqlite3"), LocalFiles(folder / "files")
