"""Contenders over HTTP, given the same requests: ``paddlex --serve`` and this server."""

from __future__ import annotations

import asyncio
import shutil
import signal
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import psutil
import yaml

from serve_app.worker.engine_process import PADDLE_FACTORY
from tests.bench.contender import ContenderFailed
from tests.bench.corpus import ROOT, Sample
from tests.bench.pipelines import Pipeline
from tests.bench.processes import Tree, python
from tests.bench.report import BEFORE
from tests.e2e.server import free_port
from tests.processes import command_of

START_TIMEOUT_S = 240.0
READ_TIMEOUT_S = 600.0
OPERATOR_TIMEOUT_S = 10.0
POLL_S = 0.25


class HttpServer:
    """A server that speaks PaddleX's protocol; subclasses say how to start it.

    Args:
        pipeline: which endpoint is asked.
        folder: for its log and configuration.
        at_once: see Contender.
    """

    name = ""
    ready_path = ""

    def __init__(self, pipeline: Pipeline, folder: Path, at_once: Sequence[int]) -> None:
        self.pipeline, self.folder, self.at_once = pipeline, folder, tuple(at_once)
        self.port = free_port()
        self.tree: Tree | None = None
        self._bodies: dict[str, bytes] = {}
        self._http = httpx.AsyncClient()

    def make_tree(self, log: Path) -> Tree:
        """The server's processes, not yet started; it listens on ``self.port``."""
        raise NotImplementedError

    async def start(self) -> None:
        self._http = httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{self.port}",
            headers={"content-type": "application/json"},
            timeout=READ_TIMEOUT_S,
            # None is kept open: it would outlive its time while the server is frozen.
            limits=httpx.Limits(max_keepalive_connections=0),
            trust_env=False,
        )
        self.tree = self.make_tree(self.folder / f"{self.name}.log")
        await self.tree.start()
        deadline = time.monotonic() + START_TIMEOUT_S
        while not await self._is_ready():
            if self.tree.ended or time.monotonic() > deadline:
                raise ContenderFailed(f"{self.name} is not ready:\n{self.tree.last_words()}")
            await asyncio.sleep(POLL_S)

    async def read(self, sample: Sample) -> bytes:
        body = self._bodies.get(sample.name)
        if body is None:
            body = self._bodies[sample.name] = self.pipeline.request_body(sample)
        try:
            answer = await self.post(body)
        except httpx.HTTPError as error:
            raise ContenderFailed(f"{self.name}, {sample.name}: {error!r}") from None
        if answer.status_code != 200:
            raise ContenderFailed(
                f"{self.name}, {sample.name}: {answer.status_code} {answer.text[:500]}"
            )
        return answer.content

    async def post(self, body: bytes) -> httpx.Response:
        """The answer to a request of PaddleX's protocol, whatever it is."""
        return await self._http.post(self.pipeline.endpoint, content=body)

    def texts(self, answer: bytes) -> list[str]:
        return self.pipeline.texts(answer)

    def processes(self) -> list[psutil.Process]:
        return self.tree.members() if self.tree else []

    async def stop(self) -> None:
        await self._http.aclose()
        if self.tree is not None:
            await self.tree.stop()

    async def _is_ready(self) -> bool:
        try:
            return (await self._http.get(self.ready_path, timeout=5)).status_code == 200
        except httpx.HTTPError:
            return False


class PaddlexServe(HttpServer):
    """PaddleX's own server, as it is."""

    name = "paddlex --serve"
    ready_path = "/health"

    def __init__(
        self, pipeline: Pipeline, config: Path, folder: Path, at_once: Sequence[int]
    ) -> None:
        super().__init__(pipeline, folder, at_once)
        self._config = config

    def make_tree(self, log: Path) -> Tree:
        where = ("--host", "127.0.0.1", "--port", str(self.port), "--device", "cpu")
        command = python("-m", "paddlex", "--serve", "--pipeline", str(self._config), *where)
        return Tree(command, log, stop_signal=signal.SIGINT)


class OcrServe(HttpServer):
    """This server, as configs/local.yaml starts it.

    Args:
        idle_timeout_s: of all models; by default idle engines stay while others are measured.
        precision: of all models, see ``shipped_config``.
        checkout: of another version, whose code and configuration run instead of these.
        env: further environment variables.
    """

    name = "ocr-serve"
    ready_path = "/readyz"
    _ray_folder: Path | None = None

    def __init__(
        self,
        pipeline: Pipeline,
        folder: Path,
        at_once: Sequence[int],
        *,
        idle_timeout_s: float = -1,
        precision: str = "auto",
        checkout: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(pipeline, folder, at_once)
        self._idle_timeout_s, self._precision = idle_timeout_s, precision
        self._checkout = checkout
        self._env = dict(env or {})
        if checkout is not None:
            self.name = BEFORE
            self._env["PYTHONPATH"] = str(checkout)

    def make_tree(self, log: Path) -> Tree:
        file = self.folder / f"{self.name}.yaml"
        file.write_text(yaml.safe_dump(self._config()), encoding="utf-8")
        # Short: the paths of Ray's Unix sockets below it may have 107 bytes.
        self._ray_folder = Path(tempfile.mkdtemp(prefix="ocr-bench-", dir="/tmp"))
        # SPT_NOENV: Ray's processes rename themselves, by default over their environment.
        env = {"RAY_TMPDIR": str(self._ray_folder), "SPT_NOENV": "1", **self._env}
        command = python("-m", "serve_app", "run", "--log", "-", str(file))
        return Tree(command, log, stop_signal=signal.SIGINT, env=env, cwd=self._checkout)

    def engines(self) -> list[psutil.Process]:
        """Its engine processes, those too that are still loading or on their way out."""
        return [process for process in self.processes() if PADDLE_FACTORY in command_of(process)]

    async def memory(self) -> dict[str, Any]:
        """The memory of the machine, as GET /v1/memory tells it. Raises ContenderFailed."""
        try:
            answer = await self._http.get("/v1/memory", timeout=OPERATOR_TIMEOUT_S)
            answer.raise_for_status()
        except httpx.HTTPError as error:
            raise ContenderFailed(f"{self.name}, /v1/memory: {error!r}") from None
        for domain in answer.json()["domains"]:
            if domain["kind"] == "ram":
                return dict(domain)
        raise ContenderFailed(f"{self.name}, /v1/memory: no RAM in {answer.text[:500]}")

    async def stop(self) -> None:
        await super().stop()
        if self._ray_folder is not None:
            shutil.rmtree(self._ray_folder, ignore_errors=True)

    def _config(self) -> dict[str, Any]:
        """The shipped configuration on a free port."""
        config = shipped_config(self._precision, self._checkout or ROOT)
        config["http_options"]["port"] = self.port
        for model in config["applications"][0]["args"]["models"].values():
            model["idle_timeout_s"] = self._idle_timeout_s
        return config


def shipped_config(precision: str = "auto", checkout: Path = ROOT) -> dict[str, Any]:
    """configs/local.yaml; with ``precision`` f32 as on a CPU that has no bf16."""
    text = (checkout / "configs" / "local.yaml").read_text(encoding="utf-8")
    config: dict[str, Any] = yaml.safe_load(text)
    for model in config["applications"][0]["args"]["models"].values():
        model.setdefault("engine", {})["precision"] = precision
    return config
