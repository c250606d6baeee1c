"""What replicas share of their estimates, against the registry's own state machine."""

from __future__ import annotations

import pickle
from typing import Any

from serve_app.messages import DeviceKind, EstimatorState, PageLoad
from serve_app.policy.model_estimators import SHARE_INTERVAL_S, ModelEstimators
from serve_app.policy.registry_state import RecoveryState, RegistryState
from serve_app.settings import MemorySettings
from tests.unit.policy_reports import report

MB = 2**20
HINTS = {
    name: MemorySettings(base_bytes=700 * MB, bytes_per_pixel=700) for name in ("ocr", "structure")
}
UNTAUGHT = 700 * MB


def registry() -> RegistryState:
    return RegistryState(dict.fromkeys(HINTS, 300.0))


class Replica:
    """Its estimators, and what it sent."""

    def __init__(self, name: str, device: DeviceKind = "cpu") -> None:
        self.name, self.device = name, device
        self.estimators = ModelEstimators(HINTS)
        self.sent: list[dict[str, EstimatorState]] = []

    def pages(self, count: int, peak_bytes: int, model: str = "ocr") -> None:
        for _ in range(count):
            self.estimators.observe(model, PageLoad(1000), peak_bytes)

    def estimate(self, model: str = "ocr") -> int:
        return self.estimators.estimate(model, PageLoad(0))

    def beat(self, state: RegistryState, now: float, *, lost: bool = False) -> tuple[str, ...]:
        """One heartbeat; ``lost``: the answer does not arrive."""
        one = self.estimators
        recovery = RecoveryState(observations=one.observations, learned=one.to_share(now))
        self.sent.append(dict(recovery.learned))
        answer = state.heard(report(self.name, device=self.device), now, recovery)
        if lost:
            return ()
        return one.answered(recovery.learned, answer.known, answer.learned, now)

    def states_sent(self, model: str = "ocr") -> int:
        return sum(model in sent for sent in self.sent)


def taught(state: RegistryState, **pages: Any) -> Replica:
    """A replica that has told the registry what it learned."""
    replica = Replica("old")
    replica.pages(**{"count": 60, "peak_bytes": 3000 * MB, **pages})
    replica.beat(state, 0)
    replica.beat(state, 1)
    return replica


def test_a_new_replica_starts_with_the_estimates_of_an_old_one() -> None:
    state = registry()
    old, new = taught(state), Replica("new")
    assert new.estimate() == UNTAUGHT
    assert new.beat(state, 2) == ("ocr",)
    assert new.estimate() == old.estimate() > 3000 * MB
    assert new.estimate("structure") == UNTAUGHT


def test_what_was_learned_on_a_gpu_says_nothing_about_a_cpu() -> None:
    state = registry()
    taught(state)
    gpu = Replica("gpu", "gpu")
    assert gpu.beat(state, 2) == ()
    assert gpu.estimate() == UNTAUGHT


def test_a_replica_that_knows_by_itself_keeps_what_it_measured() -> None:
    state = registry()
    taught(state)
    other = Replica("other")
    other.pages(50, 1000 * MB)
    own = other.estimate()
    assert other.beat(state, 2) == ()
    assert other.estimate() == own
    # However long the others have been there: what they remember is bounded.
    taught(state, count=1000)
    other.pages(60, 1000 * MB)
    assert other.beat(state, 3) == ()


def test_pages_measured_since_the_report_count() -> None:
    state = registry()
    taught(state)
    new = Replica("new")
    answer = state.heard(report("new"), 2, RecoveryState(observations=new.estimators.observations))
    assert answer.learned
    new.pages(40, 1000 * MB)
    assert new.estimators.answered({}, answer.known, answer.learned, 2) == ()


def test_a_page_on_top_of_adopted_estimates_is_learned_and_shared() -> None:
    state = registry()
    taught(state)
    new = Replica("new")
    new.beat(state, 2)
    new.pages(1, 3000 * MB)
    new.beat(state, 3)
    learned = state.learned("ocr", "cpu")
    assert learned is not None
    assert learned.observations == 61


def test_a_registry_that_starts_anew_is_told_again() -> None:
    old = taught(registry())
    restarted = registry()
    old.beat(restarted, 2)  # its answer: it knows nothing
    old.beat(restarted, 3)
    new = Replica("new")
    new.beat(restarted, 4)
    assert new.estimate() == old.estimate()


def test_an_idle_replica_sends_no_state() -> None:
    state = registry()
    old = taught(state)
    sent = old.states_sent()
    for second in range(2, 200):
        old.beat(state, second)
    assert old.states_sent() == sent == 1


def test_a_busy_replica_sends_few_states_and_never_two_in_one_report() -> None:
    state, busy = registry(), Replica("busy")
    for second in range(600):
        for model in HINTS:
            busy.pages(2, 2000 * MB, model)
        busy.beat(state, second)
    for model in HINTS:
        # At 1, 2, 4 … observations, then every 30 s.
        assert busy.states_sent(model) <= 10 + 600 / SHARE_INTERVAL_S
        learned = state.learned(model, "cpu")
        assert learned is not None
        assert learned.observations > 1200 - 3 * 2 * SHARE_INTERVAL_S
    assert max(map(len, busy.sent)) == 1
    assert len(pickle.dumps(max(busy.sent, key=lambda sent: len(pickle.dumps(sent))))) < 12_000


def test_a_report_without_an_answer_is_repeated() -> None:
    state, replica = registry(), Replica("a")
    replica.beat(state, 0)
    replica.pages(10, 2000 * MB)
    replica.beat(state, 1, lost=True)
    replica.beat(state, 2)
    assert replica.states_sent() == 2
    replica.beat(state, 3)
    assert replica.states_sent() == 2


def test_before_the_first_answer_nothing_is_sent() -> None:
    replica = Replica("a")
    replica.pages(10, 2000 * MB)
    assert replica.estimators.to_share(0) == {}


def test_a_model_that_the_registry_does_not_know_is_not_sent() -> None:
    state, replica = RegistryState({"structure": 300.0}), Replica("a")
    replica.pages(10, 2000 * MB)
    for second in range(5):
        replica.beat(state, second)
    assert replica.states_sent() == 0


def test_a_pictures_bytes_are_known_and_only_the_rest_is_learned() -> None:
    estimators = ModelEstimators(HINTS)
    small, large = PageLoad(3_000_000, 20 * MB), PageLoad(3_000_000, 350 * MB)
    for _ in range(30):
        estimators.observe("ocr", small, 1220 * MB)
    known = estimators.estimate("ocr", small)
    assert 1220 * MB <= known < 1350 * MB
    assert estimators.estimate("ocr", large) == known + 330 * MB
    for _ in range(30):
        estimators.observe("ocr", large, 1550 * MB)
    assert estimators.estimate("ocr", small) == known


def test_a_page_whose_decoding_takes_most_is_estimated_by_it_and_teaches_nothing() -> None:
    estimators = ModelEstimators(HINTS)
    page = PageLoad(100_000, 5 * MB, 1300 * MB)
    assert estimators.estimate("ocr", page) == UNTAUGHT + 1300 * MB
    estimators.observe("ocr", page, 1900 * MB)
    assert estimators.observations["ocr"] == 0
