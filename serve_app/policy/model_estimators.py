"""A replica's estimators, one per model, and what it shares of them with other replicas. Pure.

The registry keeps the state with most observations per (model, device kind). Every report says how
many observations each estimator here is made of; every answer says how many the registry's is made
of, and brings a state along that knows much more (``estimate.knows_much_more``). So a replica that
starts has the others' estimates after its first report, and a registry that starts anew is told
again after its first answer, which says that it knows nothing.

A state is some 10 KB and a report comes every second, so one is sent

* when it is made of twice as many observations as the registry's, which is the first page, the
  second, the fourth ... and after a restart of the registry;
* else when it is made of more, at most every ``SHARE_INTERVAL_S`` per model;
* and one per report, the one that waited longest.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from serve_app.messages import EstimatorState, PageLoad
from serve_app.policy.estimate import PeakEstimator, knows_much_more
from serve_app.settings import MemorySettings

# A replica that ends unexpectedly takes with it what it learned in that time.
SHARE_INTERVAL_S = 30.0


class ModelEstimators:
    """See the module's docstring.

    Args:
        hints: what each declared model's configuration says of its memory.
    """

    def __init__(self, hints: Mapping[str, MemorySettings]) -> None:
        self._hints = dict(hints)
        self._estimators = {
            model: PeakEstimator(hint.base_bytes, hint.bytes_per_pixel)
            for model, hint in hints.items()
        }
        # Of the registry's states, by model; empty until it has answered.
        self._known: dict[str, int] = {}
        self._shared_at: dict[str, float] = {}

    def estimate(self, model: str, load: PageLoad, resident_bytes: int = 0) -> int:
        """Expected peak in bytes: what is computed, learned, on top of the picture, which is known.

        Or of the decoding, if that takes more.
        """
        estimator = self._estimators[model]
        computing = estimator.estimate(load.pixels, resident_bytes) + load.picture_bytes
        return max(computing, estimator.estimate(0) + load.decode_bytes)

    def observe(self, model: str, load: PageLoad, peak_bytes: int, resident_bytes: int = 0) -> None:
        """A page was measured, or (with 0 pixels) a load. Nothing is learned of a peak of 0."""
        estimator = self._estimators[model]
        decoding = estimator.estimate(0) + load.decode_bytes
        computing = estimator.estimate(load.pixels) + load.picture_bytes
        if peak_bytes > 0 and (load.pixels == 0 or decoding <= computing):
            # Without the picture: the next page of as many computed pixels may have another one.
            estimator.observe(load.pixels, max(peak_bytes - load.picture_bytes, 1), resident_bytes)

    @property
    def observations(self) -> dict[str, int]:
        """How many each model's estimator is made of."""
        return {model: one.observations for model, one in self._estimators.items()}

    def to_share(self, now: float) -> dict[str, EstimatorState]:
        """What the next report takes along: nothing, or one model's state."""
        due = [model for model in self._estimators if self._is_due(model, now)]
        if not due:
            return {}
        longest = min(due, key=self._last_shared)
        return {longest: self._estimators[longest].to_state()}

    def answered(
        self,
        shared: Mapping[str, EstimatorState],
        known: Mapping[str, int],
        learned: Mapping[str, EstimatorState],
        now: float,
    ) -> tuple[str, ...]:
        """The registry has answered a report: the models whose estimates are another's now.

        Args:
            shared: what the report took along.
            known: observations behind the registry's states, of the models that it knows.
            learned: states that knew much more than this replica when it reported.
        """
        self._shared_at.update(dict.fromkeys(shared, now))
        self._known = dict(known)
        return tuple(model for model, state in learned.items() if self._adopt(model, state))

    def _is_due(self, model: str, now: float) -> bool:
        own, known = self._estimators[model].observations, self._known.get(model)
        if known is None or own <= known:
            return False
        return own >= 2 * known or now - self._last_shared(model) >= SHARE_INTERVAL_S

    def _last_shared(self, model: str) -> float:
        return self._shared_at.get(model, -math.inf)

    def _adopt(self, model: str, state: EstimatorState) -> bool:
        own = self._estimators.get(model)
        # Compared here, with the present: pages may have been measured since the report.
        if own is None or not knows_much_more(state.observations, own.observations):
            return False
        hint = self._hints[model]
        self._estimators[model] = PeakEstimator.from_state(
            state, hint.base_bytes, hint.bytes_per_pixel
        )
        return True
