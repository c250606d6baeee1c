"""Keeps a lease while its turn lasts, and ends the turn when it is lost."""

from __future__ import annotations

import asyncio
import logging
from functools import partial

from serve_app.clock import epoch
from serve_app.errors import JobNotFound, OcrServeError
from serve_app.jobs.ports import JobStore
from serve_app.jobs.turn import Turn
from serve_app.policy.job import LeaseLost, renewed

log = logging.getLogger("ocr_serve.jobs")

# A job that was cancelled through another gateway stops after this.
LOOK_S = 1.0
# The turn ends this long before another gateway may take the job.
MARGIN_S = 1.0


async def keep_lease(turn: Turn, store: JobStore, lease_s: float) -> None:
    """Look whether the job is still this turn's, and renew its lease in time, until cancelled."""
    while not turn.lost:
        await asyncio.sleep(LOOK_S)
        try:
            await _look(turn, store, lease_s)
        except (LeaseLost, JobNotFound):
            log.info("job is not this gateway's any more", extra={"job": turn.job.id})
            turn.lose()
        except OcrServeError as error:
            if epoch() > turn.until - MARGIN_S:
                fields = {"job": turn.job.id, "error": str(error)}
                log.warning("lease not renewed in time", extra=fields)
                turn.lose()


async def _look(turn: Turn, store: JobStore, lease_s: float) -> None:
    now = epoch()
    if turn.until - now < lease_s / 2:
        until = now + lease_s
        await store.update(turn.job.id, partial(renewed, token=turn.token, until=until))
        turn.until = until
        return
    job = await store.get(turn.job.id)
    if job is None or job.lease is None or job.lease.token != turn.token:
        raise LeaseLost(turn.job.id)
