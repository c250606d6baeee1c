"""Contender "in-process": plain ``pipeline.predict`` of PaddleX with its own engine settings."""

from __future__ import annotations

import asyncio
import json
import socket
from pathlib import Path

import psutil

from tests.bench.contender import ContenderFailed
from tests.bench.corpus import Sample
from tests.bench.pipelines import Pipeline
from tests.bench.processes import Tree, python

START_TIMEOUT_S = 180.0
READ_TIMEOUT_S = 300.0
MAX_LINE_BYTES = 16 * 2**20


class PlainPipeline:
    """See the module's docstring. One request at a time: a pipeline is not thread-safe.

    Args:
        pipeline, config, folder: as for other contenders.
        most_bytes: memory that it may allocate; none but the machine's limit by default.
    """

    name = "in-process"
    at_once: tuple[int, ...] = (1,)

    def __init__(
        self, pipeline: Pipeline, config: Path, folder: Path, *, most_bytes: int | None = None
    ) -> None:
        self._pipeline, self._config, self._folder = pipeline, config, folder
        self._limit = () if most_bytes is None else (str(most_bytes),)
        self._tree: Tree | None = None
        self._files: dict[str, Path] = {}

    async def start(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._tree = Tree(
                self.command(theirs.fileno()),
                self._folder / f"{self.name}.log",
                pass_fds=[theirs.fileno()],
            )
            await self._tree.start()
        self._reader, self._writer = await asyncio.open_connection(sock=ours, limit=MAX_LINE_BYTES)
        await self._answer(START_TIMEOUT_S)

    def command(self, fd: int) -> list[str]:
        """What starts the child that answers on the socket ``fd``. Raises ContenderFailed."""
        options = json.dumps(dict(self._pipeline.predict))
        arguments = (str(fd), str(self._config), options, *self._limit)
        return python("-m", "tests.bench.plain_host", *arguments)

    async def read(self, sample: Sample) -> bytes:
        return await self.read_file(self._path_of(sample))

    async def read_file(self, path: Path) -> bytes:
        """The pages of any file, as ``plain_host.py`` answers. Raises ContenderFailed."""
        self._writer.write(f"{path}\n".encode())
        answer = await self._answer(READ_TIMEOUT_S)
        if error := json.loads(answer).get("error"):
            raise ContenderFailed(f"{self.name}: {error}")
        return answer

    def texts(self, answer: bytes) -> list[str]:
        return [line for page in json.loads(answer)["pages"] for line in page["lines"]]

    def processes(self) -> list[psutil.Process]:
        return self._tree.members() if self._tree else []

    async def stop(self) -> None:
        if self._tree is not None:
            await self._tree.stop()

    async def _answer(self, timeout_s: float) -> bytes:
        assert self._tree is not None
        try:
            line = await asyncio.wait_for(self._reader.readline(), timeout_s)
        except asyncio.TimeoutError:
            raise ContenderFailed(f"{self.name}: no answer within {timeout_s:g} s") from None
        if not line:
            raise ContenderFailed(f"{self.name} has ended:\n{self._tree.last_words()}")
        return line

    def _path_of(self, sample: Sample) -> Path:
        """PaddleX's pipeline takes paths, and tells the format from the suffix."""
        if sample.name not in self._files:
            suffix = {"pdf": ".pdf", "jpeg": ".jpg"}[sample.kind]
            path = self._folder / f"sample-{len(self._files)}{suffix}"
            path.write_bytes(sample.data)
            self._files[sample.name] = path
        return self._files[sample.name]
