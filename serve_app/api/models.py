"""GET /v1/models: the declared models, their state and their engine processes."""

from dataclasses import asdict

from fastapi import APIRouter, Response
from fastapi.params import Depends
from starlette.responses import JSONResponse

from serve_app.api import examples
from serve_app.ports import DocumentService, ModelStatus


class ModelRoutes:
    """The list of models."""

    def __init__(self, service: DocumentService) -> None:
        self._service = service

    def router(self, *asked: Depends) -> APIRouter:
        """The route with its documentation; ``asked`` come before its handler."""
        router = APIRouter(tags=["Models"], dependencies=asked)
        router.add_api_route("/v1/models", self.models, **examples.MODELS)
        return router

    async def models(self) -> Response:
        """State of every declared model; loads nothing."""
        models = [_shown(model) for model in await self._service.models()]
        return JSONResponse({"models": models})


def _shown(model: ModelStatus) -> dict[str, object]:
    shown = asdict(model)
    if model.error is None:
        del shown["error"]
    return shown
