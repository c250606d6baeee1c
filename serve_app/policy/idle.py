"""Which models have been idle for too long. Pure.

Used by the registry, and by a replica on its own models when it cannot reach the registry.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set

from serve_app.messages import ModelFacts, Unload


def is_idle(model: ModelFacts) -> bool:
    """Loaded, and neither held nor waited for."""
    return model.state == "READY" and model.references == 0 and model.idle_s is not None


def idle_unloads(
    models: Iterable[ModelFacts],
    idle_timeouts_s: Mapping[str, float],
    pinned: Set[str] = frozenset(),
) -> list[Unload]:
    """Unload what was not used for its ``idle_timeout_s`` (0: at once; -1: never).

    Pinned models stay. So do models without a time-out here: they belong to another version of
    the configuration, whose replicas have timers of their own.
    """
    return [
        Unload(model.model, model.generation, "idle")
        for model in models
        if is_idle(model)
        and model.model not in pinned
        and 0 <= idle_timeouts_s.get(model.model, -1.0) <= (model.idle_s or 0.0)
    ]
