"""What a server holds: leases, reservations, open entries of its ledgers, temporary files."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from tests.e2e.server import Server


def domains(server: Server) -> list[dict[str, Any]]:
    """GET /v1/memory."""
    answer = server.http.get("/v1/memory")
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["domains"]
    return found


def levels(server: Server) -> set[str]:
    """Of all domains."""
    return {domain["level"] for domain in domains(server)}


def references(server: Server) -> int:
    """Leases held and waited for, over all engines, as the registry knows."""
    return sum(model["references"] for model in server.models().values())


def open_entries(server: Server) -> int:
    """In the ledgers of all workers."""
    return sum(sum(domain["open_entries"].values()) for domain in domains(server))


def ledger_is_zero(server: Server) -> bool:
    """No lease, nothing reserved beyond what idle engines hold, nothing open in a ledger."""
    held = sum(e["facts"]["memory_bytes"] for d in domains(server) for e in d["engines"])
    reserved = sum(domain["reserved_bytes"] for domain in domains(server))
    nothing_held = references(server) == 0 and open_entries(server) == 0
    return nothing_held and reserved <= 1.05 * held + 2**20


def temporary_files() -> set[str]:
    """Ours, in the folder for temporary files and in shared memory."""
    folders = (Path(tempfile.gettempdir()), Path("/dev/shm"))
    return {
        str(path)
        for folder in folders
        for path in folder.glob("*ocr-serve*")
        if not path.name.startswith("ocr-serve-bench")
    }
