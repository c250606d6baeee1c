"""docker/: the linter has nothing to say, and the entry point gives Ray its variables."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from serve_app.command.environment import FIXED
from tests.deploy.manifests import ROOT

pytestmark = pytest.mark.integration

DOCKERFILES = sorted((ROOT / "docker").glob("*.Dockerfile"))
HADOLINT = Path(sys.executable).with_name("hadolint")


@pytest.mark.parametrize("file", DOCKERFILES, ids=lambda file: file.name)
def test_the_linter_has_nothing_to_say(file: Path) -> None:
    found = subprocess.run([HADOLINT, file], capture_output=True, text=True, timeout=60)
    assert (found.returncode, found.stdout) == (0, "")


def test_the_linter_would_notice(tmp_path: Path) -> None:
    file = tmp_path / "Dockerfile"
    file.write_text("FROM debian:latest\nRUN cd /tmp\n", encoding="utf-8")
    found = subprocess.run([HADOLINT, file], capture_output=True, text=True, timeout=60)
    assert "DL3007" in found.stdout


@pytest.mark.parametrize("file", DOCKERFILES, ids=lambda file: file.name)
def test_what_is_copied_is_not_ignored(file: Path) -> None:
    """``.dockerignore`` lets through what it names, and all that is copied is there."""
    allowed = {
        line[1:]
        for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
        if line.startswith("!")
    }
    for line in file.read_text(encoding="utf-8").splitlines():
        if line.startswith("COPY ") and "--from" not in line:
            for source in line.split()[1:-1]:
                assert (ROOT / source).exists(), source
                assert source.split("/")[0] in allowed, source


def test_the_entry_point_adds_rays_variables_but_keeps_those_that_are_set(tmp_path: Path) -> None:
    script = (ROOT / "docker" / "entrypoint.sh").read_text(encoding="utf-8")
    here = script.replace("/opt/ocr-serve", str(ROOT))
    assert here != script
    name = next(iter(FIXED))
    shown = subprocess.run(
        ["bash", "-c", here, "entrypoint", "env"],
        env={"PATH": "/usr/bin:/bin", name: "mine"},
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    told = dict(line.split("=", 1) for line in shown.stdout.splitlines() if "=" in line)
    assert told[name] == "mine"
    assert {key: told[key] for key in FIXED if key != name} == {
        key: value for key, value in FIXED.items() if key != name
    }
