"""Make the virtual environment, or find in milliseconds that it is already right.

Installs one lock file (all hashes checked, wheels only) and the package itself as editable.
The stamp that says "done" is written last and holds what it was made from, so that

- a second run installs nothing;
- an interrupted run is simply run again: a half-made environment is made anew, and packages that
  pip was copying when it was killed are found and installed again;
- a changed lock, pyproject.toml, Python or folder is noticed.

Standard library only: it runs on the machine's own Python. Downloads are left to pip and its
configuration.
"""

from __future__ import annotations

import argparse
import csv
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import check_system

ROOT = Path(__file__).resolve().parent.parent
# Every lock that contains the named one: an environment made from it will do as well.
COVERED_BY = {
    "cpu": ("cpu", "dev"),
    "dev": ("dev",),
    "gpu": ("gpu",),
    "gpu-cuda12": ("gpu-cuda12",),
}
# With CUDA's libraries: 4.4 GB installed.
GPU_LOCKS = ("gpu", "gpu-cuda12")
# Measured with dev.lock: 2.5 GB installed, and pip unpacks one wheel at a time beside it.
# Of a step that failed; pip explains itself in its last lines.
LAST_LINES = 30
NEEDED_BYTES, NEEDED_GPU_BYTES = 4 * 10**9, 9 * 10**9


class SetupFailed(Exception):
    """Set-up cannot go on; the message says why and what to do."""


@contextmanager
def exclusive(venv: Path) -> Iterator[None]:
    """Let a second make in the same tree wait instead of writing into the same environment."""
    with (venv.parent / f"{venv.name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("set-up: another one is at work in this folder, waiting for it", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def interpreter_mark(venv: Path, name: str = "cpu") -> str:
    """What the whole environment depends on: scripts in it name the folder and the Python.

    And which package is the module ``onnxruntime``: another one is never installed over it.
    """
    runtime = f", {name}" if name in GPU_LOCKS else ""
    return f"python {sys.version_info[0]}.{sys.version_info[1]} in {venv}{runtime}"


def stamp_text(venv: Path, lock: Path) -> str:
    """What an environment made from this lock is stamped with."""
    digests = [
        f"{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()}"
        for path in (lock, ROOT / "pyproject.toml")
    ]
    return "\n".join((interpreter_mark(venv), *digests, ""))


def stamp_path(venv: Path, name: str) -> Path:
    return venv / f".ocr-serve-{name}"


def is_current(venv: Path, name: str) -> bool:
    """Whether a finished environment of this lock, or of one that contains it, is there."""
    for other in COVERED_BY[name]:
        stamp = stamp_path(venv, other)
        if stamp.is_file() and stamp.read_text() == stamp_text(venv, lock_file(other)):
            return True
    return False


def lock_file(name: str) -> Path:
    return ROOT / "requirements" / f"{name}.lock"


def run(what: str, *command: str | Path) -> None:
    """Run one step; the end of its own output is the explanation when it fails."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
    )
    if done.returncode != 0:
        why = "\n".join(done.stdout.splitlines()[-LAST_LINES:])
        failed = f"{what}: failed with exit code {done.returncode}; it can simply be run again"
        raise SetupFailed(f"{why}\n{failed}")


def has_pip(venv: Path) -> bool:
    """Whether the environment's Python and pip start: not so after an interrupted creation."""
    python = venv / "bin" / "python"
    try:
        probe = subprocess.run([python, "-m", "pip", "--version"], capture_output=True)
    except OSError:
        return False
    return probe.returncode == 0


def ensure_venv(venv: Path, name: str = "cpu") -> None:
    """An environment of this Python in this folder with a working pip."""
    mark = venv / ".made-by"
    if mark.is_file() and mark.read_text() == interpreter_mark(venv, name) and has_pip(venv):
        return
    if venv.exists() and not (venv / "pyvenv.cfg").exists() and any(venv.iterdir()):
        raise SetupFailed(f"{venv} is there and is no virtual environment: move it away")
    print(f"set-up: creating {venv.name}", flush=True)
    run(f"creating {venv.name}", sys.executable, "-m", "venv", "--clear", venv)
    mark.write_text(interpreter_mark(venv, name))


def is_complete(dist_info: Path) -> bool:
    """Whether pip finished this package: RECORD comes last, and every file has its size.

    Python files that pip was killed over are short or missing, while their METADATA makes pip
    believe that the package is there.
    """
    record = dist_info / "RECORD"
    if not record.is_file() or not (dist_info / "INSTALLER").is_file():
        return False
    with record.open(newline="", encoding="utf-8") as rows:
        for row in csv.reader(rows):
            path, _, size = row if len(row) == 3 else ("", "", "")
            if not path or path.endswith(".pyc"):
                continue
            try:
                found = (dist_info.parent / path).stat().st_size
            except OSError:
                return False
            if size and found != int(size):
                return False
    return True


def forget_incomplete(venv: Path) -> None:
    """Drop the metadata of half-installed packages, so that pip installs them again."""
    for site in venv.glob("lib/python*/site-packages"):
        for dist_info in site.glob("*.dist-info"):
            if not is_complete(dist_info):
                print(f"set-up: {dist_info.stem} is incomplete and is installed again", flush=True)
                shutil.rmtree(dist_info)
        for leftover in site.glob("~*"):  # what an interrupted pip uninstall was moving away
            shutil.rmtree(leftover, ignore_errors=True)


def install(venv: Path, name: str) -> None:
    """Everything of the lock, then the package itself."""
    pip = (venv / "bin" / "python", "-m", "pip", "--disable-pip-version-check", "--no-input")
    # --no-deps: the lock is complete, nothing is left to resolve.
    flags = ("--quiet", "--no-deps", "--require-hashes", "--only-binary", ":all:")
    what, size = f"installing {name}.lock", 3 if name in GPU_LOCKS else 1
    print(f"set-up: {what} (about {size} GB to fetch, some minutes the first time)", flush=True)
    run(what, *pip, "install", *flags, "--requirement", lock_file(name))
    flags = ("--quiet", "--no-deps", "--no-build-isolation", "--editable", ".")
    run("installing the package", *pip, "install", *flags)


def check_space(venv: Path, needed_bytes: int) -> None:
    if (free := shutil.disk_usage(venv.parent).free) < needed_bytes:
        needed, have = needed_bytes / 1e9, free / 1e9
        raise SetupFailed(f"{needed:.0f} GB of disk are needed in {venv.parent}, {have:.1f} free")


def set_up(venv: Path, name: str) -> None:
    """Bring the environment to what the lock says, from whatever state it is in."""
    started = time.monotonic()
    if found := check_system.problems(gpu=name in GPU_LOCKS):
        raise SetupFailed("\n".join(found))
    for stamp in venv.glob(".ocr-serve-*"):  # wrong from here on
        stamp.unlink()
    ensure_venv(venv, name)
    if not any(venv.glob("lib/python*/site-packages/ray")):
        check_space(venv, NEEDED_GPU_BYTES if name in GPU_LOCKS else NEEDED_BYTES)
    forget_incomplete(venv)
    install(venv, name)
    check = (venv / "bin" / "python", "-W", "ignore", check_system.__file__, "--imports")
    run("loading the native modules", *check, *(["--gpu"] if name in GPU_LOCKS else ()))
    unfinished = venv / ".unfinished"
    unfinished.write_text(stamp_text(venv, lock_file(name)))
    os.replace(unfinished, stamp_path(venv, name))
    print(f"set-up: done in {time.monotonic() - started:.0f} s", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description="Make or update the virtual environment.")
    parser.add_argument("name", choices=COVERED_BY, help="requirements/NAME.lock")
    parser.add_argument("--venv", type=Path, default=ROOT / ".venv")
    options = parser.parse_args()
    venv = options.venv.absolute()
    try:
        with exclusive(venv):
            if not is_current(venv, options.name):
                set_up(venv, options.name)
    except SetupFailed as failure:
        print(f"set-up: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nset-up: interrupted; it can simply be run again", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
