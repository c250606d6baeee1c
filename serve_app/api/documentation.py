"""GET /openapi.json, and /docs that shows it."""

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.params import Depends
from starlette.responses import JSONResponse

SCHEMA_PATH, DOCS_PATH = "/openapi.json", "/docs"


class DocumentationRoutes:
    """The description of the other routes."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app

    def router(self, *asked: Depends) -> APIRouter:
        """The routes, which do not describe themselves; ``asked`` come before their handlers."""
        router = APIRouter(dependencies=asked)
        for path, handler in ((SCHEMA_PATH, self.schema), (DOCS_PATH, self.page)):
            router.add_api_route(path, handler, include_in_schema=False)
        return router

    async def schema(self) -> Response:
        """OpenAPI, as JSON."""
        return JSONResponse(self._app.openapi())

    async def page(self, request: Request) -> Response:
        """A page to read and try it."""
        prefix = request.scope.get("root_path", "").rstrip("/")
        title = f"{self._app.title}: API"
        return get_swagger_ui_html(openapi_url=prefix + SCHEMA_PATH, title=title)
