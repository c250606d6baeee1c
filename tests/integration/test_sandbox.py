"""A native exploit, simulated: code that runs where files are parsed, and in an engine.

Real processes behind the real locks. What this kernel does not have is skipped with its reason.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import os
import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from serve_app.documents.parsers import Parsers
from serve_app.sandbox.parser import ParserLimits, ParserSandbox
from serve_app.testing.engine import FACTORY
from serve_app.worker.engine_process import EngineProcess
from tests import exploits
from tests.e2e.waiting import happens

pytestmark = pytest.mark.integration

MIB = 2**20
LIMITS = ParserLimits(memory_bytes=128 * MIB, cpu_s=20, answer_bytes=MIB)
PLANTED = {
    "RAY_AUTH_TOKEN": "planted-ray-token",
    "OCR_SERVE_API_KEYS": "planted-api-keys",
    "AWS_SECRET_ACCESS_KEY": "planted-cloud-secret",
}
MISSING = ParserSandbox(LIMITS).missing


def needs(layer: str) -> pytest.MarkDecorator:
    why = [what for what in MISSING if layer in what]
    return pytest.mark.skipif(bool(why), reason="; ".join(why) or "it is there")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder with Ray's token in it, and secrets in this process's environment."""
    token = tmp_path / ".ray" / "auth_token"
    token.parent.mkdir()
    token.write_text("planted-ray-token")
    monkeypatch.setenv("HOME", str(tmp_path))
    for name, value in PLANTED.items():
        monkeypatch.setenv(name, value)
    return tmp_path


@contextlib.contextmanager
def listening() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


async def in_parser(attempts: dict[str, Any], factory: str = exploits.PARSER) -> dict[str, str]:
    parsers = Parsers("exploited", {}, LIMITS, idle_timeout_s=60, factory=factory)
    try:
        answer, _ = await parsers.run({"attempts": attempts}, b"", timeout_s=20)
        with contextlib.closing(answer):
            return dict(json.loads(answer.read()))
    finally:
        await parsers.close()


async def in_engine(attempts: dict[str, Any], **sandbox: bool) -> dict[str, str]:
    spec = {"sandbox": {"gpu": False, "hub": False, **sandbox}}
    engine = EngineProcess(
        "exploited", spec, factory=exploits.ENGINE, hub=sandbox.get("hub", False)
    )
    await engine.start(timeout_s=30)
    try:
        data = json.dumps(attempts).encode()
        prediction = await engine.predict({}, data, timeout_s=20)
        return dict(json.loads(prediction.result.text[0]))
    finally:
        await engine.stop()


def started_with(pid: int | None) -> bytes:
    """The environment that the kernel shows."""
    return Path(f"/proc/{pid}/environ").read_bytes()


def assert_refused(told: dict[str, str], *names: str) -> None:
    got = {name: told[name] for name in names or told if name != "pid"}
    refused = {"EPERM", "EACCES", "ENOSYS"}
    assert {name: what for name, what in got.items() if what.split()[0] not in refused} == {}


@pytest.mark.parametrize("where", [in_parser, in_engine], ids=["parser", "engine"])
async def test_no_secret_of_the_parent_is_in_a_childs_environment(home: Path, where: Any) -> None:
    told = await where({"environ": None})
    assert "PATH" in told["environ"]
    for secret in PLANTED.values():
        assert secret not in told["environ"]


async def test_the_kernel_shows_no_secret_in_the_environment_that_children_started_with(
    home: Path,
) -> None:
    parsers = Parsers("host", {}, LIMITS, idle_timeout_s=60, factory=exploits.PARSER)
    engine = EngineProcess("fake", {}, factory=FACTORY)
    try:
        (await parsers.run({}, b"", timeout_s=30))[0].close()
        await engine.start(timeout_s=30)
        for pid in (parsers.host_pid, engine.pid):
            environ = started_with(pid)
            assert b"PATH=" in environ
            for secret in PLANTED.values():
                assert secret.encode() not in environ
    finally:
        await parsers.close()
        await engine.stop()


# ---- Where files are parsed ------------------------------------------------------------------


@needs("landlock")
async def test_a_parser_reads_nothing_of_its_parent_or_of_anybodys_home(home: Path) -> None:
    gateway = os.getpid()
    paths = [
        *(f"/proc/{gateway}/{name}" for name in ("environ", "mem", "maps", "cmdline", "status")),
        *("/proc/self/environ", "/proc/1/environ", "/etc/passwd", "/etc/hostname"),
        str(home / ".ray" / "auth_token"),
        *(str(path) for path in (Path(__file__), Path(__file__).parents[2] / "pyproject.toml")),
    ]
    told = await in_parser(
        {
            **{f"read {path}": path for path in paths},
            "list home": str(home),
            "list tmp": "/tmp",
            "list proc": "/proc",
        }
    )
    assert_refused(told)


async def test_a_parser_writes_nothing(home: Path) -> None:
    victim = home / "victim"
    victim.write_text("whole")
    told = await in_parser(
        {
            "write victim": str(victim),
            "write new": str(home / "new"),
            "write tmp": "/tmp/ocr-serve-exploit",
            "write shm": "/dev/shm/ocr-serve-exploit",
            "write here": "exploit",
            "mkdir": str(home / "folder"),
            "unlink": str(victim),
        }
    )
    assert_refused(told)
    assert victim.read_text() == "whole"


@needs("seccomp")
async def test_a_parser_makes_no_socket_process_or_program(home: Path) -> None:
    with listening() as port:
        told = await in_parser(
            {
                "socket inet": "AF_INET",
                "socket inet6": "AF_INET6",
                "socket unix": "AF_UNIX",
                "socket netlink": "AF_NETLINK",
                "connect": port,
                "exec": "/bin/true",
                "fork": None,
            }
        )
    assert_refused(told)


@needs("seccomp")
async def test_a_parser_reaches_no_other_process_and_little_of_the_kernel(home: Path) -> None:
    told = await in_parser(
        {
            "kill": os.getpid(),
            "ptrace": os.getpid(),
            "process_vm_readv": os.getpid(),
            "mount": None,
            "bpf": None,
            "keyctl": None,
            "io_uring_setup": None,
        }
    )
    assert_refused(told)


@needs("seccomp")
async def test_a_parser_cannot_open_its_own_locks(home: Path) -> None:
    assert_refused(await in_parser({"dumpable": None, "unlimited": None, "code": None}))


async def test_a_parser_has_no_descriptor_but_its_own_channel() -> None:
    # stdin, stdout, stderr; its socket, its own status, its file; the rules of Landlock.
    expected = 7 if not [what for what in MISSING if "landlock" in what] else 6
    parsers = Parsers("host", {}, LIMITS, idle_timeout_s=60, factory=exploits.PARSER)
    jobs = [parsers.run({"sleep_s": 60}, b"x", timeout_s=60) for _ in range(3)]
    waiting = [asyncio.create_task(job) for job in jobs]
    try:
        await happens(lambda: descriptors(parsers) == [expected] * 3, 20, "none of another file's")
    finally:
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        await parsers.close()


def descriptors(parsers: Parsers) -> list[int]:
    """How many each fork has."""
    if parsers.host_pid is None:
        return []
    try:
        return [fork.num_fds() for fork in psutil.Process(parsers.host_pid).children()]
    except psutil.NoSuchProcess:
        return []


async def test_without_the_kernels_locks_files_are_parsed_and_one_log_line_says_what_is_missing(
    home: Path, our_log: pytest.LogCaptureFixture
) -> None:
    told = await in_parser({"environ": None}, exploits.WITHOUT_LOCKS)
    assert "planted" not in told["environ"], "this layer needs nothing of the kernel"
    told = await in_parser({"environ": None}, exploits.WITHOUT_LOCKS)
    lines = [record for record in our_log.records if record.message == "sandbox incomplete"]
    assert [record.missing for record in lines] == [  # type: ignore[attr-defined]
        ["landlock: not in this kernel", "seccomp: not in this kernel"]
    ]


# ---- In an engine ----------------------------------------------------------------------------


@needs("landlock")
async def test_an_engine_writes_to_temporary_files_and_caches_only(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache, temporary = home / ".paddlex" / "cached", home / "tmp" / "new"
    temporary.parent.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary.parent))
    (home / ".paddlex").mkdir()
    told = await in_engine(
        {
            "write cache": str(cache),
            "write temporary": str(temporary),
            "write home": str(home / "new"),
            "write token": str(home / ".ray" / "auth_token"),
            "write library": "/usr/lib/ocr-serve-exploit",
            "write root": "/ocr-serve-exploit",
        }
    )
    assert told["write cache"] == f"got {cache}"
    assert told["write temporary"] == f"got {temporary}"
    assert_refused(told, "write home", "write token", "write library", "write root")


@needs("landlock")
@pytest.mark.parametrize("kind", ["cpu", "gpu", "hub"])
async def test_an_engine_reads_no_token_and_nothing_of_its_parent(
    home: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent = os.getpid()
    (home / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(home / "tmp"))
    told = await in_engine(
        {
            **{f"read {name}": f"/proc/{parent}/{name}" for name in ("environ", "mem", "maps")},
            "read token": str(home / ".ray" / "auth_token"),
        },
        **({} if kind == "cpu" else {kind: True}),
    )
    assert_refused(told)
    own = await in_engine({"read cpuinfo": "/proc/cpuinfo", "read own": "/proc/self/status"})
    assert all(own[name].startswith("got") for name in ("read cpuinfo", "read own"))


@needs("seccomp")
@pytest.mark.parametrize("hub", [False, True])
async def test_an_engine_starts_no_program_and_looks_into_no_process(home: Path, hub: bool) -> None:
    told = await in_engine(
        {
            "exec": "/bin/true",
            "ptrace": os.getpid(),
            "process_vm_readv": os.getpid(),
            "mount": None,
            "bpf": None,
            "keyctl": None,
            "io_uring_setup": None,
        },
        hub=hub,
    )
    assert_refused(told)


@needs("seccomp")
async def test_an_engine_has_no_network_unless_its_weights_come_from_a_hub(home: Path) -> None:
    with listening() as port:
        assert_refused(await in_engine({"socket": "AF_UNIX", "connect": port}))
        gpu = await in_engine({"socket": "AF_UNIX", "connect": port}, gpu=True)
        assert gpu["socket"].startswith("got"), "CUDA's services use Unix sockets"
        assert_refused(gpu, "connect")
        hub = await in_engine({"connect": port}, hub=True)
        assert hub["connect"] == "got connected"


def test_memory_is_measured_as_another_user_than_root() -> None:
    """An engine stays readable by its parent; a parser, which is not, tells by itself."""
    program = """
        import asyncio, json, os
        from serve_app.devices import process_memory
        from serve_app.documents.parsers import Parsers
        from serve_app.worker.engine_process import EngineProcess
        from serve_app.sandbox.parser import ParserLimits
        from serve_app.testing.engine import FACTORY
        from tests import exploits
from tests.e2e.waiting import happens

        async def main():
            engine = EngineProcess("fake", {}, factory=FACTORY)
            await engine.start(timeout_s=30)
            await engine.predict({}, b"{}", timeout_s=30)
            reset = process_memory.reset_peak(engine.pid)
            big = await engine.predict({}, b'{"use_bytes": 50000000}', timeout_s=30)
            small = await engine.predict({}, b"{}", timeout_s=30)
            await engine.stop()
            limits = ParserLimits(2**27, 20, 2**20)
            parsers = Parsers("host", {}, limits, idle_timeout_s=60, factory=exploits.PARSER)
            answer, used = await parsers.run({"eat_mib": 40}, b"", timeout_s=30)
            answer.close()
            await parsers.close()
            print(json.dumps([os.getuid(), reset, big.peak_bytes - small.peak_bytes, used]))

        asyncio.run(main())
    """
    command = [sys.executable, "-c", textwrap.dedent(program)]
    environment = {**os.environ, "HOME": "/nonexistent"}
    nobody: Any = {"user": 65534, "group": 65534, "extra_groups": []} if os.getuid() == 0 else {}
    run = functools.partial(subprocess.run, capture_output=True, text=True, timeout=120)
    try:
        done = run(command, env=environment, **nobody)
    except PermissionError as error:
        pytest.skip(f"nobody may not run this Python: {error}")
    assert done.returncode == 0, done.stderr
    uid, reset, grown, used = json.loads(done.stdout)
    assert uid != 0
    assert reset is True
    assert grown > 40_000_000, "the peak of the small page is its own"
    assert 40 * MIB < used < 80 * MIB
