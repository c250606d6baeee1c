"""ModelAffinityRouter: Serve's request router of a pool. Carries out ``policy/routing.py``.

One lives in every process that holds a handle of the pool, so in every gateway replica. All its
methods run on one event loop, Serve's router loop or the replica's own, depending on
RAY_SERVE_RUN_ROUTER_IN_SEPARATE_LOOP: no locks, and nothing of a loop is kept.

Serve pickles this module by value into the deployment's config: it must import what it needs by
name, and keep no state of its own. ``DeploymentHandle.choose_replica`` is not supported: a
reservation that is never dispatched would count as a page for ever.
"""

from __future__ import annotations

import logging
from typing import Any

from ray.serve.request_router import PendingRequest, ReplicaID, RequestRouter, RunningReplica

from serve_app.page_job import PageJob
from serve_app.policy.routing import InFlight, ReplicaView, order, placement, view_of

log = logging.getLogger("ocr_serve.routing")


class ModelAffinityRouter(RequestRouter):
    """Pages go where their model is; any other call goes to the replica with the fewest calls."""

    # How long a replica may take to say how many calls it has, when that is not known (Serve's
    # default: 0.1 s). On a machine whose cores all compute it takes longer at times, and going
    # elsewhere costs a load.
    queue_len_response_deadline_s = 1.0

    def initialize_state(self, *, models: dict[str, int], spill_pages: int) -> None:
        """Called by Serve, once, with ``request_router_kwargs``.

        Args:
            models: every declared model and its weight (expected bytes when loaded).
            spill_pages: see ``policy.routing.order``.
        """
        self._models, self._spill_pages = models, spill_pages
        self._in_flight = InFlight()
        self._placement: dict[str, list[str]] = {}
        self._placed: frozenset[str] = frozenset()

    def update_replicas(self, replicas: list[RunningReplica]) -> None:
        """Called by Serve with every change of the set, and of any replica's report."""
        super().update_replicas(replicas)
        self._place()

    def on_replica_actor_died(self, replica_id: ReplicaID) -> None:
        """Called by Serve when a call found out, before the controller does."""
        super().on_replica_actor_died(replica_id)
        self._place()

    def on_request_completed(self, replica_id: ReplicaID, internal_request_id: str) -> None:
        """Called by Serve, once for every call that was sent, however it ended."""
        self._in_flight.ended(replica_id.unique_id, internal_request_id)

    async def choose_replicas(
        self,
        candidate_replicas: list[RunningReplica],
        pending_request: PendingRequest | None = None,
    ) -> list[list[RunningReplica]]:
        """The replicas in ranks, best first, for Serve to try in turn.

        One replica a rank: within a rank Serve takes the one with the fewest calls of any kind.
        """
        if pending_request is not None:
            # Else Serve tries again without a pause when all of them are full.
            pending_request.routing_context.should_backoff = True
        model = _model_of(pending_request)
        if model is None or model not in self._placement:
            return [candidate_replicas]
        known = {replica.replica_id.unique_id: replica for replica in candidate_replicas}
        views = [self._view(known[name], model) for name in self._placement[model] if name in known]
        return [[known[name]] for name in order(views, spill_pages=self._spill_pages)]

    async def _choose_replica_for_request(
        self, pending_request: PendingRequest, *, is_retry: bool = False
    ) -> RunningReplica:
        """Choose for this very request, and note at once that the page is on its way.

        Serve's own version hands requests to shared tasks that find them again by the internal
        request id. The pages of one document share that id: all but one would never be sent.
        """
        ranks = self._choose_replicas_with_backoff(pending_request)
        attempt = 0
        try:
            async for rank in ranks:
                replica = await self._select_from_candidate_replicas(rank, attempt)
                if replica is not None:
                    self._note(pending_request, replica)
                    return replica
                attempt += 1
        finally:
            await ranks.aclose()
        raise AssertionError("unreachable: Serve offers ranks until one is taken")

    def _note(self, request: PendingRequest, replica: RunningReplica) -> None:
        model, name = _model_of(request), replica.replica_id.unique_id
        if model is None:
            return
        if not self._view(replica, model).holds:
            log.info("first page to a replica", extra={"model": model, "replica": name})
        self._in_flight.sent(name, request.metadata.internal_request_id, model)

    def _view(self, replica: RunningReplica, model: str) -> ReplicaView:
        name = replica.replica_id.unique_id
        return view_of(name, model, replica.routing_stats, self._in_flight.pages(name, model))

    def _place(self) -> None:
        present = frozenset(replica.unique_id for replica in self.curr_replicas)
        if present != self._placed:
            self._placed, self._placement = present, placement(self._models, present)
            self._in_flight.keep(present)


def _model_of(request: PendingRequest | None) -> str | None:
    """The model of a page; None for any other call."""
    if request is None:
        return None
    arguments: tuple[Any, ...] = (*request.args, *request.kwargs.values())
    return next((value.model for value in arguments if isinstance(value, PageJob)), None)
