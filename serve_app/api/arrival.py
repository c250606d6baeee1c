"""How a document comes in: its body has a place among the uploads, then its request in the gate."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request

from serve_app.api.body import Body, Uploads
from serve_app.api.context import context_of, priority_of
from serve_app.api.gate import RequestGate, Visit


@dataclass(frozen=True, slots=True)
class Arrival:
    """What a document's handler needs of the edge: its body, and the way in."""

    visit: Visit
    body: Body
    uploads: Uploads

    def enter(self) -> None:
        """The body is read.

        Raises:
            QueueFull: see ``Visit``.
        """
        self.uploads.arrived(self.body)
        self.visit.enter()


def arrival_of(request: Request) -> Arrival:
    """That of a request whose route has ``Passes``."""
    arrival = request.scope["state"]["arrival"]
    assert isinstance(arrival, Arrival)
    return arrival


@dataclass(frozen=True, eq=False, slots=True)
class Passes:
    """The dependency of routes that take documents; an operator's orders go around the gate."""

    gate: RequestGate
    uploads: Uploads

    async def __call__(self, request: Request) -> None:
        """Take a place among the uploads, or refuse."""
        resources = context_of(request).resources
        visit = resources.enter_context(self.gate.visit(priority_of(request)))
        body = resources.enter_context(self.uploads.body(request))
        request.scope["state"]["arrival"] = Arrival(visit, body, self.uploads)
