"""The operator's routes: what the memory holds, what tasks cost, and load, unload, pin."""

import math
from collections.abc import Mapping

from fastapi import APIRouter, Request, Response
from fastapi.params import Depends
from starlette.responses import JSONResponse

from serve_app.api import operator_examples as examples
from serve_app.api.history_example import HISTORY
from serve_app.api.operator_examples import (
    DEFAULT_TASKS,
    DEFAULT_TIMEOUT_S,
    MAX_TASKS,
    MAX_TIMEOUT_S,
)
from serve_app.errors import InvalidRequest
from serve_app.messages import TaskKind
from serve_app.ports import OperatorService

MAX_EPOCH_S = 1e11


class OperatorRoutes:
    """Handlers over an ``OperatorService``."""

    def __init__(self, service: OperatorService) -> None:
        self._service = service

    def router(self, *asked: Depends) -> APIRouter:
        """The routes with their documentation; ``asked`` come before their handlers."""
        router = APIRouter(tags=["Operator"], dependencies=asked)
        router.add_api_route("/v1/memory", self.memory, **examples.MEMORY)
        router.add_api_route("/v1/memory/history", self.history, **HISTORY)
        router.add_api_route("/v1/tasks", self.tasks, **examples.TASKS)
        for action in ("load", "unload", "pin", "unpin"):
            path = f"/v1/models/{{name}}/{action}"
            handler = getattr(self, action)
            router.add_api_route(path, handler, methods=["POST"], **examples.order(action))
        return router

    async def memory(self) -> Response:
        """Every memory domain: total, used, ours, others, level, and the engines in it."""
        return JSONResponse({"domains": list(await self._service.memory())})

    async def history(self, request: Request) -> Response:
        """The last hour: who held each domain, and which engines ended, when and why."""
        since = _number(request.query_params, "since", 1.0, MAX_EPOCH_S)
        return JSONResponse(await self._service.history(since))

    async def tasks(self, request: Request) -> Response:
        """The last ended pages and requests, newest first: estimated and measured memory."""
        limit = int(_number(request.query_params, "limit", DEFAULT_TASKS, MAX_TASKS))
        kind = _kind(request.query_params.get("kind"))
        return JSONResponse({"tasks": list(await self._service.tasks(limit, kind))})

    async def load(self, name: str, request: Request) -> Response:
        """Load the model in one worker; answers when it is ready, or why not."""
        pool = request.query_params.get("pool")
        return _outcome(await self._service.load(name, pool, _timeout_s(request)))

    async def unload(self, name: str, request: Request) -> Response:
        """Unload the model everywhere; answers when its memory is back, and how much."""
        return _outcome(await self._service.unload(name, _timeout_s(request)))

    async def pin(self, name: str) -> Response:
        """Keep the model from idle time-outs and evictions; an emergency unloads it still."""
        await self._service.pin(name, True)
        return JSONResponse({"model": name, "pinned": True})

    async def unpin(self, name: str) -> Response:
        """Treat the model like any other again."""
        await self._service.pin(name, False)
        return JSONResponse({"model": name, "pinned": False})


def _outcome(status: Mapping[str, object]) -> Response:
    """200 if it is as ordered everywhere; 409 if not in time, with what is left to do."""
    return JSONResponse(dict(status), status_code=200 if status["done"] else 409)


def _timeout_s(request: Request) -> float:
    return _number(request.query_params, "timeout_s", DEFAULT_TIMEOUT_S, MAX_TIMEOUT_S)


def _kind(asked: str | None) -> TaskKind | None:
    match asked:
        case None | "page" | "request":
            return asked
    raise InvalidRequest("`kind` must be one of page, request")


def _number(query: Mapping[str, str], name: str, default: float, most: float) -> float:
    text = query.get(name)
    if text is None:
        return default
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value <= most:
        raise InvalidRequest(f"`{name}` must be a number above 0, at most {most:g}")
    return value
