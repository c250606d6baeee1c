"""What /docs says about GET /v1/memory/history."""

from typing import Any

from serve_app.api import answer_schemas as answers
from serve_app.api.examples import json_example
from serve_app.api.operator_examples import OPERATOR_ERRORS

_GIB = 2**30
HISTORY: dict[str, Any] = {
    "operation_id": "getMemoryHistory",
    "summary": "Memory over the last hour",
    "openapi_extra": {
        "parameters": [
            {
                "name": "since",
                "in": "query",
                "description": "Samples after this: `at` of the last answer",
                "schema": {"type": "number", "exclusiveMinimum": 0},
            }
        ]
    },
    "responses": {
        **OPERATOR_ERRORS,
        200: {
            "model": answers.HistoryAnswer,
            "description": "Samples in columns, one per `interval_s`; as they are now: the domains "
            "as /v1/memory tells them, models, the pools' pages and the last ended engines. Times: "
            "seconds since 1970.",
            "content": json_example(
                {
                    "at": 1_790_000_005.2,
                    "interval_s": 5.0,
                    "window_s": 3600.0,
                    "thresholds": {"warning": 0.8, "critical": 0.95, "emergency": 0.98},
                    "domains": [
                        {
                            "domain": "gpu:GPU-5f0c",
                            "kind": "gpu",
                            "total_bytes": 8 * _GIB,
                            "at": [1_790_000_000.0, 1_790_000_005.0],
                            "used_bytes": [3 * _GIB, 5 * _GIB],
                            "ours_bytes": [0, 2 * _GIB],
                            "level": ["normal", "normal"],
                            "models": {"structure": [0, 2 * _GIB]},
                        }
                    ],
                    "now": [],
                    "models": [],
                    "pools": {},
                    "endings": [],
                }
            ),
        },
    },
}
