"""Probes: GET /livez (restart me if this fails) and GET /readyz (send me no traffic if this fails).

Also PaddleX's own GET /health, which never looked at anything.
"""

from fastapi import APIRouter, Request, Response
from fastapi.params import Depends
from starlette.responses import JSONResponse

from serve_app.api import examples
from serve_app.api.context import context_of
from serve_app.api.errors import paddlex_envelope
from serve_app.api.gate import RequestGate
from serve_app.ports import DocumentService


class HealthRoutes:
    """The probes."""

    def __init__(self, service: DocumentService, gate: RequestGate) -> None:
        self._service, self._gate = service, gate

    def router(self, *asked: Depends) -> APIRouter:
        """The routes with their documentation; ``asked`` come before their handlers."""
        router = APIRouter(tags=["Health"], dependencies=asked)
        router.add_api_route("/livez", self.livez, **examples.LIVEZ)
        router.add_api_route("/readyz", self.readyz, **examples.READYZ)
        router.add_api_route("/health", self.health, **examples.HEALTH)
        return router

    async def livez(self) -> Response:
        """200 as long as the event loop runs."""
        return JSONResponse({"status": "alive"})

    async def readyz(self) -> Response:
        """200 if requests can be answered now, else 503; both with the facts per pool."""
        readiness = await self._service.readiness()
        ready = readiness.ready and not self._gate.stopping
        body: dict[str, object] = {"ready": ready, "pools": readiness.pools}
        if self._gate.stopping:
            body["stopping"] = True
        return JSONResponse(body, 200 if ready else 503)

    async def health(self, request: Request) -> Response:
        """Alive, in PaddleX's words; whether work can be done is /readyz."""
        return JSONResponse(paddlex_envelope(context_of(request).log_id, 0, "Healthy"))
