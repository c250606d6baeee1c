"""A pipeline result's JSON as PaddleX's server sends it."""

from __future__ import annotations

import json
from typing import Any

# PaddleX's server removes them (common.prune_result): they name files of the server.
_PRUNED = frozenset({"input_path", "page_index"})


def dump_pruned(result: Any) -> bytes:
    """UTF-8 JSON of ``result`` without ``input_path`` and ``page_index`` at any depth.

    Raises:
        ValueError: the result holds NaN or infinity, which is not JSON.
    """
    pruned = _prune(result)
    return json.dumps(pruned, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def _prune(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _prune(item) for key, item in value.items() if key not in _PRUNED}
    if isinstance(value, list):
        return [_prune(item) for item in value]
    return value
