"""Ray's errors, as those who call hear of them; what clients see of them is in test_api_errors."""

from __future__ import annotations

import traceback

import pytest
from ray.exceptions import RayActorError, RayTaskError
from ray.serve.exceptions import BackPressureError

from serve_app import errors
from serve_app.gateway.calls import answer_of


def task_error(cause: Exception) -> RayTaskError:
    """As Serve raises it: an instance of the cause's class, too."""
    told = "1,500 characters of traceback"
    error = RayTaskError("predict_page", told, cause, "ray::worker", 4711, "127.0.0.1")
    return error.as_instanceof_cause()


async def raised_for(error: Exception) -> BaseException:
    async def response() -> None:
        raise error

    with pytest.raises(errors.OcrServeError) as caught:
        await answer_of(response())
    return caught.value


async def test_an_answer_is_handed_on() -> None:
    async def response() -> str:
        return "a page"

    assert await answer_of(response()) == "a page"


async def test_a_workers_own_error_comes_alone() -> None:
    full = errors.QueueFull("full", 3.0)
    told = await raised_for(task_error(task_error(full)))
    assert type(told) is errors.QueueFull
    assert (str(told), told.retry_after_s) == ("full", 3.0)
    assert told is not full  # whose frames hold the file
    assert "1,500 characters" not in "".join(traceback.format_exception(told))


async def test_what_else_a_worker_raises_is_told_by_its_type_only() -> None:
    told = await raised_for(task_error(ValueError("secret")))
    assert type(told) is errors.PageFailed
    assert str(told) == "the worker raised ValueError"


async def test_a_circle_of_causes_ends() -> None:
    error = task_error(ValueError("secret"))
    error.cause = error
    assert type(await raised_for(error)) is errors.PageFailed


async def test_a_full_queue_and_a_worker_that_is_gone() -> None:
    assert type(await raised_for(BackPressureError(1, 2))) is errors.QueueFull
    told = await raised_for(RayActorError())
    assert type(told) is errors.ReplicaUnavailable
    assert str(told) == "the worker is gone (RayActorError)"
