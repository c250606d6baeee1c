"""A real server: ``python -m serve_app run CONFIG`` in a session of its own, seen from outside.

Several may run on one machine next to other Ray clusters: port and Ray's folder are its own, and
RAY_ADDRESS is not inherited. Every process that it starts inherits one environment variable, by
which even an orphan is found; nothing is ever ended by name.
"""

from __future__ import annotations

import contextlib
import copy
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import psutil
import yaml

from tests.e2e.waiting import eventually
from tests.processes import command_of

ROOT = Path(__file__).resolve().parents[2]
SHIPPED_CONFIG = ROOT / "configs" / "local.yaml"

READY_TIMEOUT_S = 300.0
STOP_TIMEOUT_S = 45.0
REQUEST_TIMEOUT_S = 300.0
TEST_PORTS = range(20_000, 32_768)
# Begins as the variables do that children inherit (sandbox/environment.py).
TAG = "PYTHON_OCR_SERVE_TEST_SERVER"
ENGINE = "serve_app.engines.paddle:build"


def shipped_config() -> dict[str, Any]:
    """``configs/local.yaml``, to be changed at will."""
    config: dict[str, Any] = yaml.safe_load(SHIPPED_CONFIG.read_text(encoding="utf-8"))
    return config


def app_args(config: dict[str, Any]) -> dict[str, Any]:
    """Our part of a configuration."""
    args: dict[str, Any] = config["applications"][0]["args"]
    return args


CHECKOUT = (sys.executable, "-m", "serve_app")


@contextlib.contextmanager
def running(
    config: dict[str, Any],
    environment: Mapping[str, str] | None = None,
    *,
    own_ray_folder: bool = False,
    wrapper: Sequence[str] = (),
    program: Sequence[str] = CHECKOUT,
) -> Iterator[Server]:
    """Start a server with ``config`` on a free port, wait until it is ready, stop it by Ctrl-C.

    ``environment`` is added to the inherited one. ``own_ray_folder``: the server chooses the folder
    for Ray's files itself; its events and session's files cannot be read then. ``wrapper``: what
    becomes the server, whose command is its further arguments. ``program``: the command itself; it
    runs in the checkout only if it is the checkout's.

    Leaving the block asserts that no process of it is left. A server that is already gone then
    (a test may have killed it) is only cleaned up after.
    """
    # Short: the paths of Ray's Unix sockets below it may have 107 bytes.
    folder = Path(tempfile.mkdtemp(prefix="ocr-e2e-", dir="/tmp"))
    ray_folder = {} if own_ray_folder else {"RAY_TMPDIR": str(folder)}
    server = Server(config, folder, {**ray_folder, **(environment or {})}, wrapper, program)
    try:
        server.wait_until_ready()
        yield server
        if server.alive:
            server.interrupt()
            server.assert_nothing_is_left()
    finally:
        server.clean_up()
        shutil.rmtree(folder, ignore_errors=True)


class Server:
    """One started server. ``http`` is a client of it; the rest looks at its processes and logs."""

    def __init__(
        self,
        config: dict[str, Any],
        folder: Path,
        environment: Mapping[str, str],
        wrapper: Sequence[str] = (),
        program: Sequence[str] = CHECKOUT,
    ) -> None:
        config = copy.deepcopy(config)
        port = free_port()
        config["http_options"]["port"] = port
        self.url = f"http://127.0.0.1:{port}"
        self.http = httpx.Client(base_url=self.url, timeout=REQUEST_TIMEOUT_S, trust_env=False)
        self._tag = uuid.uuid4().hex
        self._folder, self._added = folder, environment
        self._output, self._log = folder / "output.log", folder / "server.log"
        file = folder / "config.yaml"
        # In their order: of the pools, the first is the first choice.
        file.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
        command = [*program, "run", "--log", str(self._log), str(file)]
        with self._output.open("wb") as output:
            self._launch = subprocess.Popen(
                [*wrapper, *command],
                cwd=ROOT if program == CHECKOUT else folder,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                # A shell without job control leaves SIGINT ignored in what it starts.
                preexec_fn=_default_sigint,
            )

    @property
    def pid(self) -> int:
        """Process id of the command, and id of its process group."""
        return self._launch.pid

    @property
    def alive(self) -> bool:
        """Whether the command itself still runs."""
        return self._launch.poll() is None

    def wait_until_ready(self) -> None:
        """Wait for GET /readyz to answer 200."""
        try:
            eventually(self._is_ready, READY_TIMEOUT_S, "the server is ready")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.output()}") from None

    # requests

    def parse(self, data: bytes, **query: str) -> httpx.Response:
        """POST /v1/parse with a form, as ``curl -F`` does it."""
        return self.http.post("/v1/parse", params=query, files={"file": ("document", data)})

    def models(self) -> dict[str, dict[str, Any]]:
        """GET /v1/models, by name."""
        answer = self.http.get("/v1/models")
        assert answer.status_code == 200, answer.text
        return {model["name"]: model for model in answer.json()["models"]}

    def engines_of(self, model: str) -> set[int]:
        """The pids of a model's engines, as the server tells them."""
        return {engine["pid"] for engine in self.models()[model]["engines"]}

    # processes and logs

    def processes(self) -> list[psutil.Process]:
        """All processes that this server has started and that are still there, orphans too."""
        return tagged(TAG, self._tag)

    def engine_processes(self) -> list[psutil.Process]:
        """Those of them that are engines, as the kernel tells them."""
        return [process for process in self.processes() if ENGINE in command_of(process)]

    def replica_process(self, deployment: str) -> psutil.Process:
        """The process of a deployment's only replica."""
        title = f"ray::ServeReplica:ocr:{deployment}"
        (process,) = [p for p in self.processes() if title in " ".join(command_of(p))]
        return process

    def events(self, event: str, **fields: object) -> list[dict[str, Any]]:
        """Log records of our replicas with this event and these fields, oldest first."""
        return [
            record
            for record in self._records()
            if record.get("event") == event and fields.items() <= record.items()
        ]

    def session_files(self, pattern: str) -> list[Path]:
        """Files below the folder of Ray's session."""
        return sorted(self._folder.glob(f"ray/session_2*/{pattern}"))

    def said(self) -> list[str]:
        """The lines that the command has printed."""
        return self._output.read_text(encoding="utf-8", errors="replace").splitlines()

    def output(self) -> str:
        """What the command has printed, and the end of its log, for messages."""
        log = self._log.read_text(encoding="utf-8", errors="replace") if self._log.exists() else ""
        return "\n".join([*self.said()[-100:], log[-20_000:]])

    # endings

    def interrupt(self) -> int:
        """Ctrl-C: SIGINT to the whole process group, as a terminal sends it; the exit code."""
        os.killpg(self.pid, signal.SIGINT)
        return self._launch.wait(STOP_TIMEOUT_S)

    def assert_nothing_is_left(self, timeout_s: float = 5.0) -> None:
        """Every process is gone, at the latest after ``timeout_s``."""
        eventually(lambda: not self.processes(), timeout_s, "no process of the server is left")

    def clean_up(self) -> None:
        """End whatever is left, by pid; for a test that failed."""
        self.http.close()
        for process in self.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self._launch.wait()

    def _is_ready(self) -> bool:
        assert self.alive, f"it has ended with {self._launch.returncode}"
        try:
            return self.http.get("/readyz", timeout=5).status_code == 200
        except httpx.TransportError:
            return False

    def _environment(self) -> dict[str, str]:
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("RAY_", "PYTEST_"))}
        # SPT_NOENV: Ray's processes rename themselves, by default over their environment.
        ours = {TAG: self._tag, "SPT_NOENV": "1"}
        ours["OCR_SERVE_STATE"] = str(self._folder / "state")
        return {**inherited, **ours, **self._added}

    def _records(self) -> list[dict[str, Any]]:
        """What the replicas have written to stderr: one JSON object a line, and other lines."""
        records = []
        for log in self.session_files("logs/worker-*.err"):
            # The last piece is empty, or a line that is still being written.
            lines = log.read_text(encoding="utf-8", errors="replace").split("\n")[:-1]
            records += [json.loads(line) for line in lines if line.startswith('{"time"')]
        return sorted(records, key=lambda record: str(record["time"]))


def checkout_importable() -> dict[str, str]:
    """For ``running``: its workers can import from this checkout (``tests``), too."""
    inherited = os.environ.get("PYTHONPATH")
    return {"PYTHONPATH": os.pathsep.join([str(ROOT), *([inherited] if inherited else [])])}


def free_port() -> int:
    """A TCP port of the loopback interface that nobody listens on now.

    Below the ports that the kernel gives to who asks for any: Ray's metrics servers do, and one of
    them could be given ours before our server listens. Above those of Ray's workers.
    """
    while True:
        port = TEST_PORTS.start + secrets.randbelow(len(TEST_PORTS))
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def _default_sigint() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def tagged(name: str, value: str) -> list[psutil.Process]:
    """The processes that were started with this variable, orphans too."""
    return [process for process in psutil.process_iter() if _has(process, name, value)]


def _has(process: psutil.Process, name: str, value: str) -> bool:
    try:
        return process.environ().get(name) == value
    except psutil.Error:  # gone, a zombie, or somebody else's
        return False
