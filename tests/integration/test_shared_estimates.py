"""A worker starts with what another one learned, by way of the registry. Fake engines, no Ray."""

from __future__ import annotations

import contextlib
import json
import pickle
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import psutil
import pytest

from serve_app.control.model_registry import ModelRegistry
from serve_app.document import PredictOptions
from serve_app.page_job import PageJob
from serve_app.settings import AppSettings
from serve_app.testing.engine import FACTORY
from serve_app.worker.ocr_service import OCRService
from tests.e2e.waiting import happens

pytestmark = pytest.mark.integration

MIB = 2**20
# Far above what a fake engine holds, which is some 20 MiB.
HINT_BYTES, LEARNED_BELOW = 2000 * MIB, 500 * MIB
# Observations from which on an estimator goes by them alone.
ENOUGH = 8
SETTINGS = AppSettings.model_validate(
    {
        "models": {"ocr": {"pipeline": "OCR", "memory": {"base_bytes": HINT_BYTES}}},
        "pools": {"cpu": {"device": "cpu"}},
        "log_level": "ERROR",
    }
)


class Handle:
    """Calls an object as a Serve handle does: pickled arguments, ``remote``, pickled answers."""

    def __init__(self, target: object) -> None:
        self.target = target

    def __getattr__(self, name: str) -> Any:
        return _Method(self, name)


class _Method:
    def __init__(self, handle: Handle, name: str) -> None:
        self._handle, self._name = handle, name

    async def remote(self, *args: Any) -> Any:
        method = getattr(self._handle.target, self._name)
        return _copied(await method(*_copied(args)))


def _copied(value: Any) -> Any:
    return pickle.loads(pickle.dumps(value))


@contextlib.asynccontextmanager
async def registry() -> AsyncIterator[ModelRegistry]:
    one = ModelRegistry(SETTINGS)
    try:
        yield one
    finally:
        await one.close()


@contextlib.asynccontextmanager
async def worker(registry: Handle) -> AsyncIterator[OCRService]:
    replica = OCRService("cpu", SETTINGS, factory=FACTORY, registry=registry)
    try:
        yield replica
    finally:
        await replica.close()
        assert psutil.Process().children() == []


async def estimate_of_a_page(replica: OCRService) -> int:
    """Predict a page; what it was expected to need."""
    file = np.frombuffer(json.dumps({}).encode(), np.uint8)
    result = await replica.predict_page(file, PageJob("ocr", "png", 0, PredictOptions()), 30)
    assert result.record is not None
    return result.record.estimate_bytes


async def teach(replica: OCRService) -> None:
    """Until the estimate is what was measured, and for so long that the registry hears of it.

    A state is shared again when it has twice the observations that the registry knows of: whatever
    number below eight a report happens to take along, twice that number is reached here.
    """
    assert await estimate_of_a_page(replica) >= HINT_BYTES
    for _ in range(2 * ENOUGH):
        await estimate_of_a_page(replica)
    assert await estimate_of_a_page(replica) < LEARNED_BELOW


async def assert_starts_with_it(handle: Handle) -> None:
    async with worker(handle) as second:
        estimators = second._worker.estimators
        await happens(lambda: estimators.observations["ocr"] > 0, 10, "the first answer has it")
        assert await estimate_of_a_page(second) < LEARNED_BELOW


async def test_a_new_worker_starts_with_what_another_one_learned() -> None:
    async with registry() as one:
        handle = Handle(one)
        async with worker(handle) as first:
            await teach(first)
            await happens(lambda: _knows(one), 10, "the registry has been told")
        await assert_starts_with_it(handle)


async def test_a_registry_that_starts_anew_is_told_again() -> None:
    async with registry() as one, registry() as anew:
        handle = Handle(one)
        async with worker(handle) as first:
            await teach(first)
            await happens(lambda: _knows(one), 10, "the registry has been told")
            handle.target = anew
            await happens(lambda: _knows(anew), 10, "the new registry has been told")
        await assert_starts_with_it(handle)


async def test_where_nobody_learned_anything_a_worker_starts_from_the_hints() -> None:
    async with registry() as one, worker(Handle(one)) as first:
        assert await estimate_of_a_page(first) >= HINT_BYTES


def _knows(one: ModelRegistry) -> bool:
    learned = one._state.learned("ocr", "cpu")
    return learned is not None and learned.observations >= ENOUGH
