"""Probes: GET /livez (restart me if this fails) and GET /readyz (send me no traffic if this fails).

PaddleX's own GET /health, which never looked at anything, is in ``paddlex.py``.
"""

from fastapi import APIRouter, Response
from starlette.responses import JSONResponse

from serve_app.api import examples
from serve_app.api.gate import RequestGate
from serve_app.ports import DocumentService


class HealthRoutes:
    """The two probes."""

    def __init__(self, service: DocumentService, gate: RequestGate) -> None:
        self._service, self._gate = service, gate

    def router(self) -> APIRouter:
        """The routes with their documentation."""
        router = APIRouter(tags=["Health"])
        router.add_api_route("/livez", self.livez, **examples.LIVEZ)
        router.add_api_route("/readyz", self.readyz, **examples.READYZ)
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
