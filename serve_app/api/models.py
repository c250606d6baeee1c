"""GET /v1/models: the declared models, their state and their engine processes."""

from dataclasses import asdict

from fastapi import APIRouter, Request, Response
from fastapi.params import Depends
from starlette.responses import JSONResponse

from serve_app.api import examples
from serve_app.api.auth import Guard
from serve_app.errors import EngineUnavailable
from serve_app.ports import DocumentService, ModelStatus

FOR_OPERATORS = frozenset({"pid", "replica_pid"})


class ModelRoutes:
    """The list of models."""

    def __init__(self, service: DocumentService, guard: Guard) -> None:
        self._service, self._guard = service, guard

    def router(self, *asked: Depends) -> APIRouter:
        """The route with its documentation; ``asked`` come before its handler."""
        router = APIRouter(tags=["Models"], dependencies=asked)
        router.add_api_route("/v1/models", self.models, **examples.MODELS)
        return router

    async def models(self, request: Request) -> Response:
        """State of every declared model; loads nothing. Pids and causes are told to operators."""
        shown = _shown if self._guard.is_operator(request) else _shown_to_clients
        models = [shown(model) for model in await self._service.models()]
        return JSONResponse({"models": models})


def _shown(model: ModelStatus) -> dict[str, object]:
    shown = asdict(model)
    if model.error is None:
        del shown["error"]
    return shown


def _shown_to_clients(model: ModelStatus) -> dict[str, object]:
    engines = [
        {name: fact for name, fact in engine.items() if name not in FOR_OPERATORS}
        for engine in model.engines
    ]
    shown = {**_shown(model), "engines": engines}
    if model.error is not None:
        shown["error"] = EngineUnavailable.outside
    return shown
