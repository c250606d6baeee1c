"""A pipeline result's JSON as PaddleX's server sends it."""

from __future__ import annotations

import json
import math
from typing import Any

# PaddleX's server removes them (common.prune_result): they name files of the server.
_PRUNED = frozenset({"input_path", "page_index"})


def dump_pruned(result: Any) -> bytes:
    """UTF-8 JSON of ``result`` without ``input_path`` and ``page_index`` at any depth.

    NaN and infinity, which are not JSON, become null, as in PaddleX's answers.
    """
    pruned = _prune(result)
    return json.dumps(pruned, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def _prune(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _prune(item) for key, item in value.items() if key not in _PRUNED}
    if isinstance(value, list):
        return [_prune(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
