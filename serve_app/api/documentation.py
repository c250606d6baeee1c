"""GET /openapi.json, and /docs that shows it, with files of this package: no CDN is asked."""

from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.params import Depends
from fastapi.routing import APIRoute
from starlette.responses import JSONResponse

from serve_app.api.auth import role_of
from serve_app.api.foreign_errors import is_doclings
from serve_app.api.static_files import file_response, page_response
from serve_app.ui.files import FOLDER, files_below

SCHEMA_PATH, DOCS_PATH = "/openapi.json", "/docs"
# Swagger UI writes styles into its elements, and has pictures in its style sheet.
POLICY = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
FRAMEWORKS_ERRORS = ("HTTPValidationError", "ValidationError")
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
            _leave_out_frameworks_errors(self.openapi_schema)
            if self.asks_for_keys:
                _describe_keys(self.openapi_schema, self)
        return self.openapi_schema


def _leave_out_frameworks_errors(schema: dict[str, Any]) -> None:
    """FastAPI promises a 422 of its own form on every route with parameters; none answers it."""
    for name in FRAMEWORKS_ERRORS:
        schema.get("components", {}).get("schemas", {}).pop(name, None)
    for operations in schema["paths"].values():
        for operation in operations.values():
            content = operation["responses"].get("422", {}).get("content", {})
            form = content.get("application/json", {}).get("schema", {}).get("$ref", "")
            if form.rsplit("/", 1)[-1] in FRAMEWORKS_ERRORS:
                del operation["responses"]["422"]


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
        swagger = files_below(FOLDER / "vendor")
        self._files = {
            name: file for name, file in swagger.items() if name.startswith("swagger-ui.")
        }
        self._files |= files_below(FOLDER / "docs")

    def router(self, *asked: Depends) -> APIRouter:
        """The routes, which do not describe themselves; ``asked`` come before their handlers."""
        router = APIRouter(dependencies=asked, include_in_schema=False)
        router.add_api_route(SCHEMA_PATH, self.schema)
        router.add_api_route(DOCS_PATH, self.page)
        router.add_api_route(DOCS_PATH + "/{name}", self.file)
        return router

    async def schema(self) -> Response:
        """OpenAPI, as JSON."""
        return JSONResponse(self._app.openapi())

    async def page(self, request: Request) -> Response:
        """A page to read and try it."""
        return page_response(request, self._files["docs.html"], POLICY)

    async def file(self, name: str, request: Request) -> Response:
        """One of the page's files."""
        return file_response(request, self._files, name)
