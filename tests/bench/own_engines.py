"""Contenders "engines": our engine processes called directly, without Ray and HTTP.

The most that the server can reach: what it lacks of this is the overhead of serving.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import Sequence

import psutil

from serve_app.config_check import check_args
from serve_app.document import PredictOptions
from serve_app.documents.renderer import PageRenderer, PageSource
from serve_app.errors import OcrServeError
from serve_app.settings import AppSettings
from serve_app.sizing import sized
from serve_app.worker.engine_environment import engine_environment
from serve_app.worker.engine_process import EngineProcess
from tests.bench.contender import ContenderFailed
from tests.bench.corpus import Sample
from tests.bench.http_servers import shipped_config
from tests.bench.pipelines import Pipeline

READ_TIMEOUT_S = 300.0
POOL = "cpu"


class OwnEngines:
    """As many engine processes as configs/local.yaml gives a replica.

    Args:
        pipeline: the model.
        at_once: see Contender.
        threads: one engine with so many threads, instead of the configured ones.
        precision: of the model, see ``shipped_config``.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        at_once: Sequence[int],
        *,
        threads: int | None = None,
        precision: str = "auto",
    ) -> None:
        self.name = "engines" if threads is None else f"one engine, {threads} threads"
        self.at_once = tuple(at_once)
        self._pipeline, self._threads, self._precision = pipeline, threads, precision
        self._engines: list[EngineProcess] = []
        self._free: asyncio.Queue[EngineProcess] = asyncio.Queue()
        self._renderer: PageRenderer | None = None

    async def start(self) -> None:
        self._engines, self._free = [], asyncio.Queue()
        settings = _settings(self._precision)
        self._renderer = PageRenderer(settings.limits, settings.documents)
        model = settings.models[self._pipeline.name]
        count = model.max_concurrent_predictions
        if self._threads is not None:
            engine_settings = model.engine.model_copy(update={"threads": self._threads})
            model, count = model.model_copy(update={"engine": engine_settings}), 1
        spec = {
            "model": model.model_dump(mode="json"),
            "device": "cpu",
        }
        pool, font_path = settings.pools[POOL], settings.paddlex.font_path
        environment = engine_environment(pool, model, font_path, pool.memory_bytes)
        for _ in range(count):
            engine = EngineProcess(self._pipeline.name, spec, env=environment)
            self._engines.append(engine)
            try:
                await engine.start(timeout_s=model.load_timeout_s)
            except OcrServeError as error:
                raise ContenderFailed(f"{self.name}: {error}") from None
            self._free.put_nowait(engine)

    async def read(self, sample: Sample) -> bytes:
        pages = [self._page(sample, index) for index in range(sample.pages)]
        lines = [line for text in await asyncio.gather(*pages) for line in text]
        return json.dumps(lines).encode()

    def texts(self, answer: bytes) -> list[str]:
        lines: list[str] = json.loads(answer)
        return lines

    def processes(self) -> list[psutil.Process]:
        return [psutil.Process(engine.pid) for engine in self._engines if engine.alive]

    async def stop(self) -> None:
        await asyncio.gather(*(engine.stop() for engine in self._engines))
        if self._renderer is not None:
            await self._renderer.close()

    async def _page(self, sample: Sample, index: int) -> tuple[str, ...]:
        options = dataclasses.asdict(PredictOptions(dict(self._pipeline.predict)))
        job = {"index": index, "options": options}
        engine = await self._free.get()
        try:
            with PageSource(self._renderer, sample.data, sample.kind, index) as page:
                frame = await page.frame(READ_TIMEOUT_S)
                prediction = await engine.predict(job, frame, timeout_s=READ_TIMEOUT_S)
        except OcrServeError as error:
            raise ContenderFailed(f"{self.name}, {sample.name}: {error}") from None
        finally:
            self._free.put_nowait(engine)
        return prediction.result.text


def _settings(precision: str) -> AppSettings:
    (application,) = shipped_config(precision)["applications"]
    return sized(check_args(application["args"]))
