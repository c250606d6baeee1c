"""What a command says, and the file for all else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from serve_app.command.console import Console, cut, default_log

PROGRAM = """
import os, subprocess, sys
from pathlib import Path
from serve_app.command.console import Console

console = Console()
console.say("before")
console.divert(Path(sys.argv[1]))
print("a library")
os.write(2, b"native code\\n")
subprocess.run([sys.executable, "-c", "print('a child')"], check=True)
console.say("after")
sys.exit(console.fail("it ended"))
"""


def test_only_what_is_said_reaches_the_terminal(tmp_path: Path) -> None:
    log = tmp_path / "new" / "server.log"
    command = [sys.executable, "-c", PROGRAM, str(log)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert run.returncode == 1
    assert run.stdout == "ocr-serve: before\nocr-serve: after\n"
    assert run.stderr == f"ocr-serve: it ended\nocr-serve: all that was said: {log}\n"
    assert sorted(log.read_text().splitlines()) == ["a child", "a library", "native code"]
    assert log.stat().st_mode & 0o077 == 0


def test_the_log_of_the_start_before_is_kept(tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    log.write_text("the start before")
    subprocess.run([sys.executable, "-c", PROGRAM, str(log)], capture_output=True, timeout=60)
    assert (tmp_path / "server.log.1").read_text() == "the start before"
    assert "the start before" not in log.read_text()


def test_a_log_that_is_too_large_is_cut_and_its_writers_go_on(tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    with log.open("a") as writer:
        print("x" * 100, file=writer, flush=True)
        assert not cut(log, max_bytes=101)
        assert cut(log, max_bytes=100)
        print("y", file=writer, flush=True)
    assert log.read_text() == "y\n"
    assert (tmp_path / "server.log.1").read_text() == "x" * 100 + "\n"


def test_without_a_log_it_is_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console()
    console.say("one", "two")
    assert console.fail("three") == 1
    assert capsys.readouterr() == ("ocr-serve: one\nocr-serve: two\n", "ocr-serve: three\n")


def test_a_log_has_its_place_by_port() -> None:
    assert default_log(8000, {"HOME": "/home/a"}) == Path(
        "/home/a/.local/state/ocr-serve/log/8000.log"
    )
    assert default_log(8000, {"XDG_STATE_HOME": "/var/state", "HOME": "/home/a"}) == Path(
        "/var/state/ocr-serve/log/8000.log"
    )
