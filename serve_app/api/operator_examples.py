"""OpenAPI of the operator's routes, with examples."""

from __future__ import annotations

from typing import Any

from serve_app.api import answer_schemas as answers
from serve_app.api.examples import OUR_ERRORS, REQUEST_ID, json_example, our_error

DEFAULT_TIMEOUT_S, MAX_TIMEOUT_S = 60.0, 600.0
DEFAULT_TASKS, MAX_TASKS = 100, 1000

OPERATOR_ERRORS = {
    **{status: OUR_ERRORS[status] for status in (400, 401, 422, 429, 500, 503)},
    403: our_error(
        "The role is not enough, or the machine another one",
        "forbidden",
        "an operator's key is needed",
    ),
}


def number(default: float, most: float) -> dict[str, Any]:
    """The schema of a number above 0."""
    return {"type": "number", "exclusiveMinimum": 0, "maximum": most, "default": default}


def _query(**schemas_by_name: dict[str, Any]) -> dict[str, Any]:
    parameters = [
        {"name": name, "in": "query", "schema": schema} for name, schema in schemas_by_name.items()
    ]
    return {"openapi_extra": {"parameters": parameters}}


_GIB = 2**30
_ENGINE = {
    "replica": "k3j9x1",
    "model": "structure",
    "facts": {
        "engine": 1,
        "pid": 4711,
        "state": "READY",
        "memory_bytes": 2 * _GIB,
        "baseline_bytes": _GIB,
        "pages": 60,
    },
}
MEMORY: dict[str, Any] = {
    "operation_id": "getMemory",
    "summary": "Memory by domain",
    "responses": {
        **OPERATOR_ERRORS,
        200: {
            "model": answers.MemoryAnswer,
            "description": "One entry per GPU and per node's RAM.",
            "content": json_example(
                {
                    "domains": [
                        {
                            "domain": "gpu:GPU-5f0c",
                            "kind": "gpu",
                            "level": "normal",
                            "total_bytes": 8 * _GIB,
                            "used_bytes": 5 * _GIB,
                            "ours_bytes": 2 * _GIB,
                            "others_bytes": 3 * _GIB,
                            "budget_bytes": 4 * _GIB,
                            "reserved_bytes": 2 * _GIB,
                            "age_s": 0.4,
                            "replicas": ["k3j9x1"],
                            "engines": [_ENGINE],
                            "open_entries": {"k3j9x1": 3},
                        }
                    ]
                }
            ),
        },
    },
}
TASKS: dict[str, Any] = {
    "operation_id": "listTasks",
    "summary": "What the last tasks cost",
    **_query(
        limit=number(DEFAULT_TASKS, MAX_TASKS),
        kind={"type": "string", "enum": ["page", "request"]},
    ),
    "responses": {
        **OPERATOR_ERRORS,
        200: {
            "model": answers.TasksAnswer,
            "description": "Newest first; a whole request has no page.",
            "content": json_example(
                {
                    "tasks": [
                        {
                            "kind": "page",
                            "task_id": "0f9b6d",
                            "request_id": REQUEST_ID,
                            "model": "structure",
                            "pool": "cpu",
                            "device": "cpu",
                            "page": 3,
                            "pixels": 2005644,
                            "estimate_bytes": 2_300_000_000,
                            "peak_bytes": 2_100_000_000,
                            "queue_s": 0.01,
                            "load_s": 0.0,
                            "run_s": 1.62,
                            "outcome": "success",
                            "fallback": False,
                            "cold": False,
                            "engine_pid": 4711,
                            "attempt": 1,
                            "error": None,
                            "ratio": 0.913,
                        }
                    ]
                }
            ),
        },
    },
}


NOT_DONE = {"complete": False, "done": False, "pending": ["k3j9x1"], "errors": {}}


def order(action: str) -> dict[str, Any]:
    """Documentation of one of the operator's orders."""
    example: dict[str, Any] = {"model": "structure", "pinned": action == "pin"}
    parameters: dict[str, dict[str, Any]] = {}
    late: dict[int | str, dict[str, Any]] = {}
    if action in ("load", "unload"):
        parameters["timeout_s"] = number(DEFAULT_TIMEOUT_S, MAX_TIMEOUT_S)
        if action == "load":
            parameters["pool"] = {"type": "string"}
        example = {
            "order": "7c1e",
            "action": action,
            "model": "structure",
            "complete": True,
            "done": True,
            "freed_bytes": 2_100_000_000 if action == "unload" else 0,
            "seconds": 1.3,
            "pending": [],
            "errors": {},
        }
        late[409] = {
            "model": answers.OrderAnswer,
            "description": "Not done in time: `pending` and `errors` say where.",
            "content": json_example({**example, **NOT_DONE}),
        }
    return {
        "summary": f"{action.capitalize()} a model",
        "operation_id": f"{action}Model",
        "responses": {
            200: {
                "model": answers.OrderAnswer,
                "description": "As ordered.",
                "content": json_example(example),
            },
            **late,
            **OPERATOR_ERRORS,
        },
        **_query(**parameters),
    }
