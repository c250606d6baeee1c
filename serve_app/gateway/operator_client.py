"""The operator's calls, on the registry's handle. Implements ``ports.OperatorService``."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Sequence
from typing import Any

from ray.serve.handle import DeploymentHandle

from serve_app.errors import ReplicaUnavailable, UnknownModel
from serve_app.gateway.calls import answer_of
from serve_app.messages import TaskKind
from serve_app.settings import AppSettings

ANSWER_TIMEOUT_S = 5.0


class OperatorClient:
    """See ``ports.OperatorService``."""

    def __init__(self, settings: AppSettings, registry: DeploymentHandle) -> None:
        self._models, self._registry = settings.models, registry

    async def memory(self) -> Sequence[dict[str, Any]]:
        """See ``ports.OperatorService``."""
        domains = await self._ask("memory", timeout_s=ANSWER_TIMEOUT_S)
        return [dataclasses.asdict(domain) for domain in domains]

    async def history(self, since: float) -> dict[str, Any]:
        """See ``ports.OperatorService``."""
        told: dict[str, Any] = await self._ask("history", since, timeout_s=ANSWER_TIMEOUT_S)
        return told

    async def tasks(self, limit: int, kind: TaskKind | None = None) -> Sequence[dict[str, Any]]:
        """See ``ports.OperatorService``."""
        records = await self._ask("tasks", limit, kind, timeout_s=ANSWER_TIMEOUT_S)
        return [
            {"kind": record.kind, **dataclasses.asdict(record), "ratio": record.ratio}
            for record in records
        ]

    async def load(self, model: str, pool: str | None, timeout_s: float) -> dict[str, Any]:
        """See ``ports.OperatorService``."""
        self._check(model)
        return await self._order("load", model, pool, timeout_s=timeout_s)

    async def unload(self, model: str, timeout_s: float) -> dict[str, Any]:
        """See ``ports.OperatorService``."""
        self._check(model)
        return await self._order("unload", model, timeout_s=timeout_s)

    async def pin(self, model: str, pinned: bool) -> None:
        """See ``ports.OperatorService``."""
        self._check(model)
        await self._ask("pin", model, pinned, timeout_s=ANSWER_TIMEOUT_S)

    async def _order(self, method: str, *args: Any, timeout_s: float) -> dict[str, Any]:
        status = await self._ask(method, *args, timeout_s, timeout_s=timeout_s + ANSWER_TIMEOUT_S)
        return dataclasses.asdict(status)

    def _check(self, model: str) -> None:
        if model not in self._models:
            raise UnknownModel(f"no model {model!r}; declared: {', '.join(self._models)}")

    async def _ask(self, method: str, *args: Any, timeout_s: float) -> Any:
        answer = answer_of(getattr(self._registry, method).remote(*args), "the model registry")
        try:
            return await asyncio.wait_for(answer, timeout_s)
        except asyncio.TimeoutError:
            raise ReplicaUnavailable("the model registry does not answer") from None
