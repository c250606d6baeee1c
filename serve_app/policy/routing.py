"""Where a page goes: the order in which a pool's replicas are tried for its model. Pure.

Memory is spent per copy of a model, so a page goes to a copy that is there, and a further copy
is made only under load and with memory to spare. The order (``order``), for one page:

  1. calm: the model is loaded, with fewer than half of ``spill_pages`` pages; in placement order;
  2. warm: loaded, fewer than ``spill_pages``; the fewest pages first;
  3. soon: loading, fewer than ``spill_pages``; the fewest first;
  4. new: without the model, at memory level normal; in placement order. Only if no copy is
     loading: copies are made one after the other, and the memory of one shows before the next;
  5. busy: loaded or loading, ``spill_pages`` or more, or at a critical level, where pages are
     refused; the fewest first;
  6. spare: as 4 while a copy is loading, and those where a load has just failed.

A replica without the model at a raised memory level is left out. If none holds the model, all of
them are candidates: those where a load has just failed come last; among the others the lowest
level first, then placement order.

Why half in 1: a copy is made at ``spill_pages`` and used from half of that. Without the gap, a
load near the threshold would make and lose copies in turn; and with less than half, all pages go
to the first copy, so that the others grow idle and are unloaded.

Several routers (one per gateway replica) do not talk to each other. They agree because placement
depends on nothing but names, and because all of them hear the same reports of the replicas.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from serve_app.messages import LEVELS, Level

ModelPresence = Literal["loaded", "loading", "failed", "absent"]

_CRITICAL = LEVELS.index("critical")


@dataclass(frozen=True, slots=True)
class ReplicaView:
    """What a router knows of one replica, with regard to one model.

    Attributes:
        presence: of the model there; ``failed`` while a page would be refused, since a load has
            failed and the next try is not due.
        pages: of this model, waiting and running. Not those of other models: they have engines
            of their own, and a copy elsewhere would not make this model's pages wait less.
        level: of the fullest memory domain that the replica uses.
    """

    replica: str
    presence: ModelPresence = "absent"
    pages: int = 0
    level: Level = "normal"

    @property
    def holds(self) -> bool:
        """Whether a page there makes no further copy."""
        return self.presence in ("loaded", "loading")


def placement(models: Mapping[str, int], replicas: Iterable[str]) -> dict[str, list[str]]:
    """For every model, all replicas in the order in which they should load it.

    The first one, its home, is by rendezvous hashing among those with the least weight of homes:
    hashing alone would put two models on one replica of two in half of all deployments, to evict
    each other there while the other replica is empty. Later ones likewise prefer a replica that is
    home to little.

    Args:
        models: weight of every declared model, e.g. its expected bytes.
        replicas: ids; neither their order nor that of ``models`` matters.
    """
    ids = sorted(set(replicas))
    weight_at = dict.fromkeys(ids, 0)
    homes: dict[str, str] = {}
    for model in sorted(models, key=lambda name: (-models[name], name)) if ids else ():
        homes[model] = min(ids, key=lambda replica: (weight_at[replica], _score(model, replica)))
        weight_at[homes[model]] += models[model]

    def distance(model: str, replica: str) -> tuple[bool, int, bytes]:
        return replica != homes[model], weight_at[replica], _score(model, replica)

    return {model: sorted(ids, key=lambda replica: distance(model, replica)) for model in models}


def order(views: Sequence[ReplicaView], *, spill_pages: int) -> list[str]:
    """The ids of the replicas to try for a page, best first; see the module's docstring.

    Args:
        views: in placement order.
        spill_pages: pages of a model in a replica from which on a further copy may be made.
    """
    if not any(view.holds for view in views):
        return [view.replica for view in sorted(views, key=_first_copy)]
    loading = any(view.presence == "loading" for view in views)
    ranked = [(_step(view, spill_pages, loading), view) for view in views]
    chosen = [(step, view) for step, view in ranked if step is not None]
    return [view.replica for _, view in sorted(chosen, key=lambda pair: pair[0])]


def view_of(replica: str, model: str, reported: Mapping[str, Any], in_flight: int) -> ReplicaView:
    """What is known of a replica, from its last report and from what this router sent there.

    Args:
        reported: ``OCRService.record_routing_stats()``, up to a second or two old; empty before
            the first one. Keys: ``loaded``, ``loading``, ``failed`` (names of models),
            ``pages_by_model``, ``level``; a missing one counts as empty or normal.
        in_flight: pages of this model that this router sent there and that have not ended.
    """
    # Not the sum: the report counts this router's pages too. The larger one errs to the side of a
    # busy replica for as long as the report is old.
    pages = max(in_flight, reported.get("pages_by_model", {}).get(model, 0))
    presence = _presence(model, reported, pages)
    return ReplicaView(replica, presence, pages, reported.get("level", "normal"))


class InFlight:
    """The pages that one router has sent and that have not ended, by replica and model."""

    def __init__(self) -> None:
        self._sent: dict[tuple[str, str], list[str]] = {}
        self._pages: Counter[tuple[str, str]] = Counter()

    def sent(self, replica: str, request: str, model: str) -> None:
        """A page left for the replica. ``request``: Serve's internal id of its request, which all
        pages of one HTTP request share."""
        self._sent.setdefault((replica, request), []).append(model)
        self._pages[replica, model] += 1

    def ended(self, replica: str, request: str) -> None:
        """A call to the replica ended in any way. Calls that were not noted are none of ours:
        Serve tells of control calls and broadcasts too."""
        models = self._sent.get((replica, request))
        if not models:
            return
        self._take(replica, models.pop())
        if not models:
            del self._sent[replica, request]

    def pages(self, replica: str, model: str) -> int:
        """How many of the model are there."""
        return self._pages[replica, model]

    def __len__(self) -> int:
        """How many there are in all."""
        return self._pages.total()

    def keep(self, replicas: Collection[str]) -> None:
        """Forget what was sent to any other replica: those are gone."""
        self._sent = {key: models for key, models in self._sent.items() if key[0] in replicas}
        for key in [key for key in self._pages if key[0] not in replicas]:
            del self._pages[key]

    def _take(self, replica: str, model: str) -> None:
        self._pages[replica, model] -= 1
        if not self._pages[replica, model]:
            del self._pages[replica, model]


def _score(model: str, replica: str) -> bytes:
    """Rendezvous hash. Not ``hash()``: that is salted, so different in every process."""
    return hashlib.blake2b(f"{model}\0{replica}".encode(), digest_size=8).digest()


def _first_copy(view: ReplicaView) -> tuple[bool, int]:
    return view.presence == "failed", LEVELS.index(view.level)


def _step(view: ReplicaView, spill_pages: int, loading: bool) -> tuple[int, int] | None:
    """Number of the step in the module's docstring, then the order within it; None: left out."""
    if view.holds:
        if view.pages >= spill_pages or LEVELS.index(view.level) >= _CRITICAL:
            return 5, view.pages
        if view.presence == "loading":
            return 3, view.pages
        return (1, 0) if view.pages < max(spill_pages // 2, 1) else (2, view.pages)
    if view.level != "normal":
        return None
    return (6, 0) if loading or view.presence == "failed" else (4, 0)


def _presence(model: str, reported: Mapping[str, Any], pages: int) -> ModelPresence:
    if model in reported.get("loaded", ()):
        return "loaded"
    if model in reported.get("loading", ()):
        return "loading"
    if model in reported.get("failed", ()):
        return "failed"
    # A page is there, so a copy will be: it came since the report, or waits for memory to load.
    return "loading" if pages else "absent"
