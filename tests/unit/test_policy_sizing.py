"""The plan for a machine: nothing is given twice, nothing is left to be sized, and it is stable."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from serve_app.policy.placement import Resources, no_node_for, problems
from serve_app.policy.sizing import A4_SCAN, MIB, Machine, Plan, has_auto, plan
from serve_app.policy.sizing_table import table, warnings
from serve_app.settings import AppSettings

ROOT = Path(__file__).parents[2]
GIB = 2**30


def shipped(file: str) -> AppSettings:
    config = yaml.safe_load((ROOT / "configs" / file).read_text())
    return AppSettings.model_validate(config["applications"][0]["args"])


LOCAL, PROD = shipped("local.yaml"), shipped("prod.yaml")


def machine(gib: float, cpus: float = 2, used: int = 0, ray_bytes: int | None = None) -> Machine:
    return Machine(int(gib * GIB), "limit", used, cpus, ray_bytes=ray_bytes)


def serves(made: Plan, model: str) -> bool:
    """A scan of A4 fits into a worker."""
    fit = next(fit for fit in made.fits if fit.model == model)
    return fit.needs[A4_SCAN.name] <= made.settings.pools[fit.pool].memory_bytes


@settings(deadline=None, max_examples=50)
@given(st.floats(0.5, 512), st.floats(0.1, 128), st.floats(0, 1), st.sampled_from([LOCAL, PROD]))
def test_a_plan_gives_nothing_twice_and_leaves_nothing_open(
    gib: float, cpus: float, used: float, of: AppSettings
) -> None:
    one = machine(gib, cpus, int(used * gib * GIB))
    made = plan(of, one)
    assert not has_auto(made.settings)
    kept = sum(kept.bytes_ for kept in made.kept)
    assert made.left_bytes == max(one.memory_bytes - kept, 0)
    assert 1 <= made.num_cpus < max(cpus, 1) + 1
    if has_auto(of):
        pools = made.settings.pools.values()
        booked = sum(pool.num_replicas * pool.memory_bytes for pool in pools)
        assert booked <= made.left_bytes + sum(pool.num_replicas for pool in pools)
    for model in made.settings.models.values():
        assert 1 <= model.max_concurrent_predictions <= max(cpus, 1)
    # In the cluster the same comes out, by what Ray was told.
    again = dataclasses.replace(one, in_use_bytes=0, ray_bytes=made.left_bytes)
    assert plan(of, again).settings == made.settings
    assert plan(made.settings, one).settings == made.settings


@settings(deadline=None, max_examples=50)
@given(st.floats(0.5, 64), st.floats(0, 64), st.integers(1, 16))
def test_more_memory_is_never_a_smaller_budget(gib: float, more: float, cpus: int) -> None:
    small, large = (plan(LOCAL, machine(size, cpus)) for size in (gib, gib + more))
    assert small.settings.pools["cpu"].memory_bytes <= large.settings.pools["cpu"].memory_bytes
    assert not (small.missing is None and large.missing)


def test_3_gib_serve_ocr_4_also_structure_and_2_end_with_a_sentence() -> None:
    three, four = plan(LOCAL, machine(3)), plan(LOCAL, machine(4))
    assert (three.missing, four.missing) == (None, None)
    assert (serves(three, "ocr"), serves(three, "structure")) == (True, False)
    assert (serves(four, "ocr"), serves(four, "structure")) == (True, True)
    two = plan(LOCAL, machine(2))
    assert two.missing is not None
    for part in ("2.0 GiB", "'ocr' needs 0.9 GiB", "A4 144 dpi", "in all would do"):
        assert part in two.missing
    assert "\n" not in two.missing


def test_the_sentence_names_enough_memory() -> None:
    for gib in (0.5, 1.0, 2.0):
        missing = plan(LOCAL, machine(gib)).missing
        assert missing is not None
        enough = float(missing.rpartition("; ")[2].split()[0])
        assert plan(LOCAL, machine(enough)).missing is None
        assert enough < 3.2


def test_a_large_machine_has_an_engine_for_each_cpu_and_keeps_the_rest_free() -> None:
    made = plan(LOCAL, machine(512, cpus=40))
    pool = made.settings.pools["cpu"]
    assert pool.num_replicas == 3
    assert made.settings.models["ocr"].max_concurrent_predictions == 14
    assert pool.num_replicas * pool.memory_bytes < made.left_bytes / 2


def test_all_cpus_of_a_large_machine_do_not_make_a_small_container_large() -> None:
    made = plan(LOCAL, machine(3, cpus=64))
    assert made.missing is None
    assert serves(made, "ocr")
    assert made.settings.models["ocr"].max_concurrent_predictions == 1


def test_a_hostile_page_takes_little_of_a_small_machine() -> None:
    small, large = (plan(LOCAL, machine(gib)).settings.documents for gib in (4, 24))
    assert (small.render_memory_bytes, small.assembly_memory_bytes) == (256 * MIB, 256 * MIB)
    assert (large.render_memory_bytes, large.assembly_memory_bytes) == (GIB, GIB)


def test_a_small_dev_shm_is_one_warning() -> None:
    tight = dataclasses.replace(machine(8), shm_bytes=64 * MIB)
    made = plan(LOCAL, tight)
    (warning,) = warnings(made)
    assert "64 MiB" in warning
    assert warnings(plan(LOCAL, machine(8))) == []
    assert made.store_bytes < 128 * MIB


def test_the_table_adds_up() -> None:
    made = plan(LOCAL, machine(8, used=GIB))
    text = "\n".join(table(made))
    assert "memory (limit)" in text
    assert f"= for engines{made.left_bytes // MIB:>29} MiB" in text
    assert "in use by others" in text
    assert "cpu: ocr" in text


def with_a_gpu(box: Machine) -> Machine:
    return dataclasses.replace(box, gpus=1.0)


@pytest.mark.parametrize(
    ("there", "expected"),
    [
        (Resources(8, 1, 64 * GIB), []),
        (Resources(4, 1, 64 * GIB), ["too few CPUs: 4.05 are booked"]),
        (Resources(8, 1, 13 * GIB), ["too little memory: 14.0 GiB are booked"]),
    ],
)
def test_what_can_never_be_placed_is_named(there: Resources, expected: list[str]) -> None:
    found = problems(PROD, there)
    assert len(found) == len(expected)
    for line, start in zip(found, expected, strict=True):
        assert line.startswith(start)
        assert "there" in line


def test_a_pool_that_may_be_empty_is_not_missed_without_a_gpu_but_told_of() -> None:
    assert problems(PROD, Resources(8, 0, 64 * GIB)) == []
    made = plan(shipped("gpu.yaml"), machine(16, cpus=2))
    assert problems(made.settings, Resources(made.num_cpus, 0, made.left_bytes)) == []
    assert serves(made, "ocr")
    (warning,) = warnings(made)
    assert warning.startswith("no GPU is here: pool gpu gets no worker")
    assert warnings(plan(shipped("gpu.yaml"), with_a_gpu(machine(16, cpus=2)))) == []


@pytest.mark.parametrize("change", ["a fixed number", "no other pool"])
def test_a_pool_that_nothing_stands_in_for_is_missed(change: str) -> None:
    pools = dict(PROD.pools)
    if change == "a fixed number":
        pools["gpu"] = pools["gpu"].model_copy(update={"autoscaling": None})
    else:
        del pools["cpu"]
    settings = PROD.model_copy(update={"pools": pools})
    (found,) = problems(settings, Resources(8, 0, 64 * GIB))
    assert found.startswith("no GPU: 0.5 are booked (pool gpu 1 x 0.5)")


def test_one_gpu_four_cpus_and_16_gb_are_enough_for_their_own_configuration() -> None:
    box = with_a_gpu(machine(16e9 / GIB, cpus=4))
    made = plan(shipped("gpu-box.yaml"), box)
    assert problems(made.settings, Resources(made.num_cpus, 1, made.left_bytes)) == []
    assert serves(made, "ocr")


def test_a_worker_without_a_node() -> None:
    needed = Resources(0.5, 0, 4 * GIB)
    assert no_node_for("cpu", needed, [Resources(), Resources(2, 0, 4 * GIB)]) is None
    reason = no_node_for("cpu", needed, [Resources(0, 0, 9), Resources(2, 0, int(2.8 * GIB))])
    assert reason is not None
    assert "4.0 GiB of memory, and 2.8 GiB are there" in reason
    assert "no node" in (no_node_for("cpu", needed, []) or "")
