"""``python -m tests.bench.limits [--gib 2 3 4 8]``: the server within control groups.

For each size a server with configs/local.yaml (`auto`), alone in a memory group whose limit the
kernel enforces and Ray sees: time to ready or the sentence of the refusal, engines, pages a second
at A4 and 144 and 300 dpi, the group's peak against its limit, and whether the kernel killed any.
Needs root and a memory controller that can be written to (version 1, or 2 with memory in
cgroup.subtree_control).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from tests.e2e.server import ROOT, free_port, shipped_config

V1, V2 = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")
READY_S, STOP_S, PAGES_S = 300.0, 90.0, 1800.0
MIB = 2**20
# The group takes the mount's place, as a container's does: Ray looks at the mount's root alone.
ENTER = 'echo $$ > "$1/cgroup.procs"; mount --bind "$1" "$2"; shift 2; exec "$@"'


@dataclass(frozen=True)
class Group:
    """A memory group of its own, below the mount's root."""

    folder: Path
    mount: Path

    @property
    def is_v1(self) -> bool:
        return self.mount == V1

    def command(self, *inner: str) -> list[str]:
        """What runs ``inner`` within it."""
        shell = ["bash", "-c", ENTER, "enter", str(self.folder), str(self.mount)]
        return ["unshare", "--mount", *shell, "env", "--default-signal=INT", *inner]

    def peak_bytes(self) -> int:
        """The highest usage so far, page cache included: the kernel takes that back by itself."""
        name = "memory.max_usage_in_bytes" if self.is_v1 else "memory.peak"
        return int((self.folder / name).read_text())

    def kills(self) -> int:
        """Processes that the kernel has killed for want of memory."""
        name = "memory.oom_control" if self.is_v1 else "memory.events"
        lines = dict(line.split() for line in (self.folder / name).read_text().splitlines())
        return int(lines.get("oom_kill", 0))

    def is_empty(self) -> bool:
        return not (self.folder / "cgroup.procs").read_text().strip()


@contextlib.contextmanager
def group(limit_bytes: int) -> Iterator[Group]:
    """Made for the block."""
    mount, limit = (V1, "memory.limit_in_bytes") if V1.is_dir() else (V2, "memory.max")
    folder = mount / f"ocr-serve-limits-{os.getpid()}-{limit_bytes}"
    folder.mkdir()
    try:
        (folder / limit).write_text(str(limit_bytes))
        yield Group(folder, mount)
    finally:
        deadline = time.monotonic() + STOP_S
        while True:
            try:
                folder.rmdir()
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)
            else:
                break


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.limits", description=__doc__)
    parser.add_argument("--gib", type=float, nargs="+", default=[2, 3, 4, 8])
    parser.add_argument("--pages", type=int, default=8)
    options = parser.parse_args(argv)
    print(
        "| GiB | start | model | engines | pages/s at 144, 300 dpi | peak of a page, MiB | kills |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- |")
    killed = 0
    for gib in options.gib:
        with group(int(gib * 2**30)) as one, tempfile.TemporaryDirectory(dir="/tmp") as folder:
            killed += row(gib, one, Path(folder), options.pages)
    return 1 if killed else 0


def row(gib: float, one: Group, folder: Path, pages: int) -> int:
    """Print the rows of one size; how many processes were killed."""
    config = shipped_config()
    port = config["http_options"]["port"] = free_port()
    file, log = folder / "config.yaml", folder / "log"
    file.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    state = {"OCR_SERVE_STATE": str(folder / "state"), "RAY_TMPDIR": str(folder)}
    with log.open("wb") as out:
        server = subprocess.Popen(
            one.command(sys.executable, "-m", "serve_app", "run", str(file)),
            cwd=ROOT,
            env={**os.environ, **state},
            stdout=out,
            stderr=out,
        )
        try:
            start = outcome(server, log)
            if server.poll() is not None:
                print(f"| {gib:g} | {start} | | | | | {one.kills()} |", flush=True)
                return one.kills()
            for model in ("ocr", "structure"):
                results = [load(port, model, dpi, pages) for dpi in (144, 300)]
                print(
                    f"| {gib:g} | {start} | {model} | {cells(results)} | {one.kills()} |",
                    flush=True,
                )
        finally:
            if server.poll() is None:
                server.send_signal(2)
            server.wait(STOP_S)
    print(f"peak of the group, page cache included: {one.peak_bytes() // MIB} MiB", flush=True)
    assert one.is_empty(), "a process is left"
    return one.kills()


def outcome(server: subprocess.Popen[bytes], log: Path) -> str:
    """``ready after … s``, or the last line of what ended."""
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
        for line in lines:
            if line.startswith("ocr-serve: ready after"):
                return line.partition(": ")[2].partition(":")[0]
        if server.poll() is not None:
            return f"exit {server.returncode}: {lines[-1].partition(': ')[2]}"
        time.sleep(0.5)
    raise AssertionError("neither ready nor ended")


def load(port: int, model: str, dpi: int, pages: int) -> dict[str, object]:
    """One run of tests/bench/scan_load.py."""
    arguments = ["--url", f"http://127.0.0.1:{port}", "--model", model, "--dpi", str(dpi)]
    made = subprocess.run(
        [sys.executable, "-m", "tests.bench.scan_load", *arguments, "--pages", str(pages)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PAGES_S,
    )
    found: dict[str, object] = json.loads(made.stdout.splitlines()[-1])
    return found


def cells(results: Sequence[dict[str, object]]) -> str:
    refused = [str(one["refused"]) for one in results if one["refused"]]
    if refused:
        return f"– | {refused[0][:120]} | –"
    speeds = ", ".join(str(one["pages_per_s"]) for one in results)
    peaks = ", ".join(str(one["peak_mib"]) for one in results)
    return f"{results[-1]['engines']} | {speeds} | {peaks}"


if __name__ == "__main__":
    sys.exit(main())
