"""``make image-test``: the CPU image built from a local base, and run within 3, 4 and 8 GiB.

Debian's buildah, podman, runc and mmdebstrap, and root; a target of its own, for it takes minutes
and some 15 GB of disk for the time. Each run: a user without rights, a
read-only root, no network, `--memory` without swap; ready, a PDF, 100 mixed pages, two at a time.
The kernel kills nothing, the peak is below the limit, the stop within the grace period, and nothing
is left.

Not built: the GPU image, whose lock and index are the operator's (scripts/lock_gpu.sh).
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = ("buildah", "podman", "runc", "mmdebstrap")
BASE, IMAGE = "localhost/ocr-serve-base:test", "localhost/ocr-serve-cpu:test"
# What the official Python image brings, and Debian splits.
PACKAGES = "python3,python3-venv,python3-pip,python-is-python3,ca-certificates"
READY_S, GRACE_S, BUILD_S = 300, 60, 3600
MIB = 2**20
# Of the container, in which nothing else is to be had: Python's own HTTP.
CLIENT = Path(__file__).with_name("image_client.py")


class Tools:
    """Builder and runner with storage of their own below ``folder``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        config = folder / "containers.conf"
        # No limits that this user may not set; a runtime that knows version 1 of control groups.
        config.write_text(
            "[containers]\ndefault_ulimits = []\n[engine]\nruntime = 'runc'\n"
            "cgroup_manager = 'cgroupfs'\nevents_logger = 'file'\n"
        )
        self._env = {**os.environ, "CONTAINERS_CONF": str(config)}

    def run(
        self, program: str, *arguments: str, timeout_s: float = 300, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Its standard output is kept; the rest goes to the terminal."""
        places = ["--root", str(self._folder / "storage"), "--runroot", str(self._folder / "run")]
        return subprocess.run(
            [program, *places, *arguments],
            env=self._env,
            stdout=subprocess.PIPE,
            text=True,
            timeout=timeout_s,
            check=check,
            cwd=ROOT,
        )


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.deploy.image_test", description=__doc__)
    parser.add_argument("--gib", type=int, nargs="+", default=[3, 4, 8])
    parser.add_argument("--pages", type=int, default=100)
    parser.add_argument(
        "--folder", type=Path, help="kept, and used again; default: a temporary one"
    )
    parser.add_argument(
        "--pip-config", type=Path, help="for the build, where pip needs one to find its packages"
    )
    options = parser.parse_args(argv)
    if missing := [name for name in PROGRAMS if shutil.which(name) is None]:
        print(f"image-test: apt-get install {' '.join(missing)}", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="ocr-image-", dir="/var/tmp") as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        tools = Tools(folder)
        try:
            build_base(tools, folder)
            build(tools, options.pip_config)
            print(layers(tools))
            rows = [run_within(tools, gib, options.pages) for gib in options.gib]
        finally:
            unmount(folder)
    print(table(rows))
    return 0 if all(row["fault"] == "" for row in rows) else 1


def unmount(folder: Path) -> None:
    """What the storage has mounted below the folder, which can then be removed."""
    below = [
        line.split()[1]
        for line in Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()
        if Path(line.split()[1]).is_relative_to(folder.resolve())
    ]
    for place in reversed(below):
        subprocess.run(["umount", "--lazy", place], check=False, timeout=30)


def build_base(tools: Tools, folder: Path) -> None:
    """A small Debian with Python 3.11, in place of the official image."""
    if tools.run("buildah", "images", "--quiet", BASE, check=False).stdout.strip():
        return
    archive = folder / "base.tar"
    command = ["mmdebstrap", "--variant=minbase", f"--include={PACKAGES}", "bookworm", str(archive)]
    subprocess.run(command, check=True, timeout=BUILD_S)
    tools.run("podman", "import", "--quiet", str(archive), BASE)
    archive.unlink()


def build(tools: Tools, pip_config: Path | None) -> None:
    """docker/cpu.Dockerfile, unchanged."""
    began = time.monotonic()
    volumes = ["--volume=/etc/ssl/certs:/etc/ssl/certs:ro"]
    if pip_config is not None:
        volumes.append(f"--volume={pip_config.resolve()}:/etc/pip.conf:ro")
    tools.run(
        *(
            "buildah",
            "build",
            "--format=docker",
            "--layers",
            "--isolation=chroot",
            "--network=host",
        ),
        *volumes,
        f"--build-arg=PYTHON_IMAGE={BASE}",
        *("--file=docker/cpu.Dockerfile", f"--tag={IMAGE}", "."),
        timeout_s=BUILD_S,
    )
    print(f"image-test: built in {time.monotonic() - began:.0f} s", flush=True)


def layers(tools: Tools) -> str:
    """Size of each layer, with what made it."""
    history = json.loads(tools.run("podman", "history", "--format=json", IMAGE).stdout)
    lines = ["| MB | made by |", "| --- | --- |"]
    for layer in history:
        if layer["size"]:
            made = " ".join(str(layer["CreatedBy"]).split())[:90].replace("|", "/")
            lines.append(f"| {layer['size'] / 1e6:.0f} | {made} |")
    return "\n".join(lines)


def run_within(tools: Tools, gib: int, pages: int) -> dict[str, Any]:
    """One container; ``fault`` says what was wrong."""
    name = f"ocr-serve-image-test-{os.getpid()}-{gib}"
    row: dict[str, Any] = {"gib": gib, "fault": ""}
    started = tools.run(
        *("podman", "run", "--detach", f"--name={name}", "--network=none", "--ulimit=host"),
        # Ray looks for this machine's address by its name.
        *("--hostname=ocr", "--add-host=ocr:127.0.0.1"),
        *("--read-only", "--read-only-tmpfs=false", "--user=1000", "--cap-drop=all"),
        # Volumes of its own have the owner that the image's folders have; they go with it.
        *("--tmpfs=/tmp:rw,size=2g,mode=1777", "--volume=/home/ocr", "--volume=/var/lib/ocr-serve"),
        "--shm-size=512m",
        *(f"--memory={gib}g", f"--memory-swap={gib}g", f"--volume={CLIENT}:/client.py:ro"),
        IMAGE,
    ).stdout.strip()
    try:
        told = tools.run(
            *("podman", "exec", name, "/opt/ocr-serve/.venv/bin/python", "/client.py"),
            *(str(READY_S), str(pages)),
            timeout_s=READY_S + 60 * pages,
            check=False,
        )
        row |= json.loads(told.stdout.splitlines()[-1]) if told.stdout else {"fault": "no answer"}
        began = time.monotonic()
        tools.run("podman", "stop", f"--time={GRACE_S}", name, timeout_s=GRACE_S + 30)
        row["stop_s"] = round(time.monotonic() - began, 1)
        state = json.loads(tools.run("podman", "inspect", started).stdout)[0]["State"]
        if state["OOMKilled"] or state["ExitCode"] != 0 or row["stop_s"] > GRACE_S:
            row["fault"] = f"exit {state['ExitCode']}, killed for memory: {state['OOMKilled']}"
        if row.get("kills") or row.get("peak_mib", 0) > gib * 1024:
            row["fault"] = "above the limit"
    except (subprocess.SubprocessError, ValueError, KeyError) as error:
        row["fault"] = f"{type(error).__name__}: {error}"
    finally:
        log = tools.run("podman", "logs", "--tail=20", name, check=False)
        if row["fault"]:
            print(log.stdout, file=sys.stderr)
        tools.run("podman", "rm", "--force", "--volumes", "--time=5", name, check=False)
    print(json.dumps(row), flush=True)
    return row


def table(rows: Sequence[dict[str, Any]]) -> str:
    names = ["gib", "ready_s", "answered", "pages_per_s", "peak_mib", "kills", "stop_s", "fault"]
    lines = [f"| {' | '.join(names)} |", f"|{' --- |' * len(names)}"]
    lines += [f"| {' | '.join(str(row.get(name, '–')) for name in names)} |" for row in rows]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
