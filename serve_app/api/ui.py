"""The pages for people: /, /ui/ and their files.

They hold nothing and are for anybody; what they show comes from the other routes, with the
visitor's key.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, metadata, version

from fastapi import APIRouter, Request, Response
from fastapi.params import Depends
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from serve_app.api.parse_params import default_model
from serve_app.api.static_files import file_response, page_response
from serve_app.settings import AppSettings
from serve_app.ui.files import FOLDER, files_below

# blob: the page that is shown was fetched with a key; data: pictures within Markdown.
POLICY = (
    "default-src 'self'; img-src 'self' blob: data:; object-src 'none'; base-uri 'self'; "
    "form-action 'none'; frame-ancestors 'none'"
)


class UiRoutes:
    """The handlers.

    Args:
        settings: what the page has to know before anybody has shown a key.
        jobs: whether there are any.
    """

    def __init__(self, settings: AppSettings, *, jobs: bool) -> None:
        self._settings, self._jobs = settings, jobs
        self._files, self._vendored = files_below(FOLDER), files_below(FOLDER / "vendor")

    def router(self, *asked: Depends) -> APIRouter:
        """The routes, which /docs does not list; ``asked`` come before their handlers."""
        router = APIRouter(dependencies=asked, include_in_schema=False)
        router.add_api_route("/", self.front)
        router.add_api_route("/favicon.ico", self.icon)
        router.add_api_route("/ui", self.page)
        router.add_api_route("/ui/config.json", self.config)
        router.add_api_route("/ui/readme.txt", self.readme)
        router.add_api_route("/ui/{name}", self.file)
        router.add_api_route("/ui/vendor/{name}", self.vendored)
        return router

    async def front(self, request: Request) -> Response:
        """What this is, and where to go."""
        return page_response(request, self._files["front.html"], POLICY)

    async def page(self, request: Request) -> Response:
        """The application."""
        return page_response(request, self._files["index.html"], POLICY)

    async def icon(self, request: Request) -> Response:
        """For browsers that ask for it unasked."""
        return file_response(request, self._files, "icon.svg")

    async def readme(self) -> Response:
        """As it was when this was installed.

        Raises:
            HTTPException: 404, this is not installed.
        """
        try:
            text = metadata("ocr-serve").json["description"]
        except PackageNotFoundError:
            raise HTTPException(404) from None
        return Response(str(text), media_type="text/plain; charset=utf-8")

    async def file(self, name: str, request: Request) -> Response:
        """One of our files."""
        return file_response(request, self._files, name)

    async def vendored(self, name: str, request: Request) -> Response:
        """One of others' files."""
        return file_response(request, self._vendored, name)

    async def config(self) -> Response:
        """What /openapi.json tells anybody anyway, in few bytes."""
        settings = self._settings
        return JSONResponse(
            {
                "version": own_version(),
                "keys": settings.auth.required,
                "jobs": self._jobs,
                "urls": settings.url_fetch.enabled,
                "max_request_bytes": settings.limits.max_request_bytes,
                "models": {name: model.pipeline for name, model in settings.models.items()},
                "default_model": default_model(settings),
            }
        )


def own_version() -> str:
    """Of the installed package."""
    try:
        return version("ocr-serve")
    except PackageNotFoundError:  # run from a checkout that is not installed
        return "0"
