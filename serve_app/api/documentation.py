"""GET /openapi.json, and /docs that shows it."""

from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.params import Depends
from fastapi.routing import APIRoute
from starlette.responses import JSONResponse

from serve_app.api.auth import role_of
from serve_app.api.foreign_errors import is_doclings

SCHEMA_PATH, DOCS_PATH = "/openapi.json", "/docs"
SCHEMES: dict[str, dict[str, str]] = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "key": {"type": "apiKey", "in": "header", "name": "X-Api-Key"},
}


class DescribedApp(FastAPI):
    """An application whose description says which routes ask for a key.

    Attributes:
        asks_for_keys: whether any does.
    """

    asks_for_keys = False

    def openapi(self) -> dict[str, Any]:
        """OpenAPI; made once."""
        if self.openapi_schema is None:
            self.openapi_schema = super().openapi()
            if self.asks_for_keys:
                _describe_keys(self.openapi_schema, self)
        return self.openapi_schema


def _describe_keys(schema: dict[str, Any], app: FastAPI) -> None:
    schema["components"]["securitySchemes"] = SCHEMES
    schema["security"] = [{"bearer": []}]
    for route in app.routes:
        if not isinstance(route, APIRoute):
            continue
        for operation in schema["paths"].get(route.path, {}).values():
            if role_of(route) == "anybody":
                operation["security"] = []
            elif is_doclings(route.path):
                operation["security"] = [{"bearer": []}, {"key": []}]


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
