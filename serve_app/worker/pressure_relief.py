"""What a worker does at once when its memory's level rises; the rest is the registry's."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Mapping
from typing import Any

from serve_app.policy.memory_pressure import ACTIONS, Crossing
from serve_app.worker.model_manager import ModelManager

log = logging.getLogger("ocr_serve.memory")


class PressureRelief:
    """Trims and unloads idle engines, in the background. On the replica's event loop."""

    def __init__(self, managers: Mapping[str, ModelManager]) -> None:
        self._managers = managers
        self._tasks: set[asyncio.Task[object]] = set()

    def act(self, crossing: Crossing) -> None:
        """A domain's level changed."""
        if not crossing.rising:
            return
        actions = ACTIONS[crossing.after]
        fields = {"domain": crossing.domain, "after": crossing.after}
        log.info("acting on memory level", extra={**fields, "actions": sorted(actions)})
        for manager in self._managers.values():
            if "unload_idle" in actions:
                self._unload_idle(manager)
            elif "evict_idle" in actions and manager.autonomous and not manager.pinned:
                self._run(manager.unload("critical"))
            elif "trim" in actions:
                self._run(manager.trim())

    def unload_idle(self) -> None:
        """Begin to stop every idle engine: one ran out of memory."""
        for manager in self._managers.values():
            self._unload_idle(manager)

    def evict(self, model: str, engine: int) -> None:
        """Begin to stop an idle engine, for a page that needs its memory."""
        self._run(self._managers[model].evict(engine))

    async def close(self) -> None:
        """End what is under way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _unload_idle(self, manager: ModelManager) -> None:
        for number in manager.idle_engines():
            self._run(manager.evict(number))

    def _run(self, action: Coroutine[Any, Any, object]) -> None:
        task: asyncio.Task[object] = asyncio.get_running_loop().create_task(action)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[object]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a memory action failed", extra={"error": repr(error)})
