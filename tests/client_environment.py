"""Environments of their own for real clients: made once, kept between runs, never ours."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest

INSTALL_TIMEOUT_S = 900.0
RUN_TIMEOUT_S = 120.0
_UNREACHABLE = re.compile(
    r"connection broken|ConnectionError|NewConnection|ConnectTimeout|Read ?timed out|ProxyError",
    re.IGNORECASE,
)


def python_with(*packages: str, constraints: Path | None = None) -> Path:
    """The interpreter of an environment that has these packages, within pip's ``constraints``.

    Skips the test if the package index cannot be reached; any other failure of pip is an error.
    """
    home = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    version = "py{}.{}".format(*sys.version_info[:2])
    wanted = "\n".join(sorted(packages)) + (constraints.read_text() if constraints else "")
    digest = hashlib.sha256(wanted.encode()).hexdigest()[:12]
    folder = home / "ocr-serve" / "tests" / f"client-{digest}-{version}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _locked(folder.with_suffix(".lock")):
        # Written last: an interrupted installation is started anew.
        done = folder / "installed"
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)
            venv.create(folder, with_pip=True)
            _pip_install(folder / "bin" / "python", packages, constraints)
            done.write_text("\n".join(packages))
    return folder / "bin" / "python"


def run_script(python: Path, script: str, *args: str, env: dict[str, str] | None = None) -> str:
    """What a script prints, run by another interpreter; it sees nothing of this repository."""
    done = subprocess.run(
        [str(python), "-I", "-c", script, *args],
        env={**os.environ, "PYTHONPATH": "", **(env or {})},
        check=False,
        capture_output=True,
        text=True,
        timeout=RUN_TIMEOUT_S,
    )
    assert done.returncode == 0, f"{done.stdout[-4000:]}\n{done.stderr[-6000:]}"
    return done.stdout


def _pip_install(python: Path, packages: tuple[str, ...], constraints: Path | None) -> None:
    command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    command += ["--no-compile", *packages]
    command += ["--constraint", str(constraints)] if constraints else []
    done = subprocess.run(
        command,
        env={**os.environ, "PYTHONPATH": ""},  # what is there is not in the environment
        check=False,
        capture_output=True,
        text=True,
        timeout=INSTALL_TIMEOUT_S,
    )
    if done.returncode == 0:
        return
    if _UNREACHABLE.search(done.stderr):
        pytest.skip(f"the package index cannot be reached for {', '.join(packages)}")
    raise AssertionError(f"{' '.join(command)}\n{done.stderr[-5000:]}")


@contextlib.contextmanager
def _locked(file: Path) -> Iterator[None]:
    with file.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
