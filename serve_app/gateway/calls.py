"""Calls to other replicas: how they fail, as typed errors. Ray's own are known nowhere else."""

from __future__ import annotations

import contextlib
from typing import Any

from ray.exceptions import RayActorError, RayError, RayTaskError
from ray.serve.exceptions import (
    BackPressureError,
    DeploymentUnavailableError,
    RayServeException,
)

from serve_app.errors import OcrServeError, PageFailed, QueueFull, ReplicaUnavailable

MAX_CAUSES = 8


async def answer_of(response: Any, who: str = "the worker") -> Any:
    """Await a Serve response, without Ray's tracebacks and the frames that they hold.

    Raises:
        OcrServeError: the callee's own.
        PageFailed: it raised something else.
        QueueFull: Serve's queue in front of it is full.
        ReplicaUnavailable: it is gone, or not there.
    """
    try:
        return await response
    except BackPressureError:
        raise QueueFull("the pool's queue is full (pools.*.max_queued_pages)") from None
    except RayTaskError as error:
        cause = _raised(error)
        if isinstance(cause, OcrServeError):
            raise _alone(cause) from None
        raise PageFailed(f"{who} raised {type(cause).__name__}") from None
    except (RayActorError, DeploymentUnavailableError) as error:
        raise ReplicaUnavailable(f"{who} is gone ({type(error).__name__})") from None


def cancel(response: Any) -> None:
    """Have it stopped; one that has failed in this very moment raises that, and nothing is left."""
    with contextlib.suppress(RayServeException, RayError):
        response.cancel()


def _raised(error: RayTaskError) -> BaseException:
    """What the code of a replica raised, which may have come to it from another one."""
    cause: BaseException = error
    for _ in range(MAX_CAUSES):
        if not isinstance(cause, RayTaskError):
            break
        cause = cause.cause
    return cause


def _alone(error: OcrServeError) -> OcrServeError:
    """The same, without a traceback."""
    return type(error)(*error.args)
