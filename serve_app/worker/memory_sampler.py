"""The worker's look at its devices: how full they are, and what each of its engines holds.

All methods run on the replica's event loop; the devices are read in a thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
from collections.abc import Callable, Mapping

from serve_app.devices.errors import DeviceError
from serve_app.devices.probe import MemoryProbe
from serve_app.messages import LEVELS, DomainReading, Level
from serve_app.policy.budget import ByteBudget, engine_name
from serve_app.policy.memory_pressure import Crossing, PressureGauge
from serve_app.settings import PressureSettings
from serve_app.worker.engine_process import EngineProcess
from serve_app.worker.model_manager import ModelManager

log = logging.getLogger("ocr_serve.memory")


class MemorySampler:
    """See the module's docstring.

    Args:
        probe: reads the devices.
        settings: levels and the sampling interval.
        budget: told what each engine holds.
        managers: the models whose engines count; may be filled later.
        on_reading: called after each reading.
        on_crossing: called for each domain whose level a reading changed, before that.
    """

    def __init__(
        self,
        probe: MemoryProbe,
        settings: PressureSettings,
        budget: ByteBudget,
        managers: Mapping[str, ModelManager],
        *,
        on_reading: Callable[[], None],
        on_crossing: Callable[[Crossing], None],
    ) -> None:
        self._probe, self._interval_s = probe, settings.sample_interval_s
        self._budget, self._managers = budget, managers
        self._on_reading, self._on_crossing = on_reading, on_crossing
        self._gauge = PressureGauge(settings)
        self.readings: tuple[DomainReading, ...] = ()

    @property
    def level(self) -> Level:
        """Of the fullest domain that this replica uses."""
        levels = map(self.level_of, self.readings)
        return max(levels, key=LEVELS.index, default="normal")

    def level_of(self, reading: DomainReading) -> Level:
        """Of the domain that was read."""
        return self._gauge.level(reading.domain)

    async def sample_forever(self) -> None:
        """Read the devices at the configured interval, and tell of crossings."""
        while True:
            with contextlib.suppress(DeviceError):  # logged by ``sample``
                await self.sample()
            await asyncio.sleep(self._interval_s)

    async def sample(self) -> None:
        """Read the devices once.

        Raises:
            DeviceError: they could not be read; what was known before stands.
        """
        engines = {
            engine_name(name, number): engine
            for name, manager in self._managers.items()
            for number, engine in manager.engines.items()
            if engine.alive
        }
        pids = [engine.pid for engine in engines.values()]
        try:
            readings, held = await asyncio.to_thread(self._read, pids)
        except DeviceError as error:
            log.warning("devices could not be read", extra={"error": str(error)})
            raise
        ours = 0
        for name, engine in engines.items():
            if not engine.alive:  # it has ended since
                continue
            engine_bytes = engine.memory.note(held)
            self._budget.measured(name, engine_bytes)
            ours += engine_bytes
        self.readings = (_with_ours(readings[0], ours), *readings[1:])
        for reading in readings:
            if crossing := self._gauge.update(reading):
                self._on_crossing(crossing)
        self._on_reading()

    async def memory_of(self, engine: EngineProcess) -> int:
        """Bytes that an engine holds on the replica's device now; 0 if it is gone.

        What it told itself last where the device does not tell.
        """
        try:
            held = await asyncio.to_thread(self._probe.per_process, [engine.pid])
        except DeviceError as error:
            log.warning("devices could not be read", extra={"error": str(error)})
            return engine.memory.held_bytes() if engine.alive else 0  # as last read
        return engine.memory.note(held)

    def close(self) -> None:
        """Let go of the devices."""
        self._probe.close()

    def _read(self, pids: list[int]) -> tuple[tuple[DomainReading, ...], Mapping[int, int]]:
        return self._probe.read(pids), self._probe.per_process(pids)


def _with_ours(own: DomainReading, ours_bytes: int) -> DomainReading:
    """With what our engines told themselves, where the driver does not tell whose memory it is."""
    ours_bytes = min(max(own.ours_bytes, ours_bytes), own.used_bytes)
    return dataclasses.replace(own, ours_bytes=ours_bytes)
