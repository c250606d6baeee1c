"""Probes: GET /livez (restart me if this fails) and GET /readyz (send me no traffic if this fails).

Also PaddleX's own GET /health, which never looked at anything.
"""

from fastapi import APIRouter, Request, Response
from fastapi.params import Depends
from starlette.responses import JSONResponse

from serve_app.api import examples
from serve_app.api.api_keys import KeySource
from serve_app.api.auth import Guard
from serve_app.api.context import context_of
from serve_app.api.errors import paddlex_envelope
from serve_app.api.gate import RequestGate
from serve_app.ports import DocumentService

PROBLEM = "problem"  # of a pool, in Serve's words


class HealthRoutes:
    """The probes."""

    def __init__(
        self, service: DocumentService, gate: RequestGate, guard: Guard, keys: KeySource | None
    ) -> None:
        self._service, self._gate = service, gate
        self._guard, self._keys = guard, keys

    def router(self, *asked: Depends) -> APIRouter:
        """The routes with their documentation; ``asked`` come before their handlers."""
        router = APIRouter(tags=["Health"], dependencies=asked)
        router.add_api_route("/livez", self.livez, **examples.LIVEZ)
        router.add_api_route("/readyz", self.readyz, **examples.READYZ)
        router.add_api_route("/health", self.health, **examples.HEALTH)
        for path in ("/livez", "/readyz", "/health"):  # some probes ask for no body
            handler = getattr(self, path[1:])
            router.add_api_route(path, handler, methods=["HEAD"], include_in_schema=False)
        return router

    async def livez(self) -> Response:
        """200 as long as the event loop runs."""
        return JSONResponse({"status": "alive"})

    async def readyz(self, request: Request) -> Response:
        """200 if requests can be answered now, else 503; both with the facts per pool.

        Operators are also told what is wrong: that may quote paths and exceptions.
        """
        readiness = await self._service.readiness()
        ready = readiness.ready and not self._gate.stopping
        tells_all = self._guard.is_operator(request)
        pools = {
            name: facts if tells_all else {key: facts[key] for key in facts if key != PROBLEM}
            for name, facts in readiness.pools.items()
        }
        body: dict[str, object] = {"ready": ready, "pools": pools}
        if tells_all and self._keys is not None and self._keys.broken:
            body["api_keys"] = "the list cannot be read; the keys from before are valid"
        if self._gate.stopping:
            body["stopping"] = True
        return JSONResponse(body, 200 if ready else 503)

    async def health(self, request: Request) -> Response:
        """Alive, in PaddleX's words; whether work can be done is /readyz."""
        return JSONResponse(paddlex_envelope(context_of(request).log_id, 0, "Healthy"))
