"""The plan of a run, for any seed and length."""

from __future__ import annotations

from itertools import combinations, pairwise

from hypothesis import given
from hypothesis import strategies as st

from chaos.catalog import KINDS
from chaos.schedule import SETTLE_SECONDS, plan, uses

SEEDS = st.integers(0, 2**32)


@given(SEEDS, st.floats(1800, 4000))
def test_in_half_an_hour_every_fault_comes_three_times(seed: int, seconds: float) -> None:
    counts = uses(plan(seed, seconds))
    assert counts.keys() == KINDS.keys()
    assert min(counts.values()) >= 3


@given(SEEDS, st.floats(20, 2400))
def test_every_fault_ends_within_the_run(seed: int, seconds: float) -> None:
    planned = plan(seed, seconds)
    assert planned
    assert all(0 < use.start < use.end <= seconds - SETTLE_SECONDS for use in planned)
    assert planned == sorted(planned, key=lambda use: use.start)


@given(SEEDS)
def test_faults_of_the_database_itself_never_overlap(seed: int) -> None:
    alone = [use for use in plan(seed, 900) if use.kind.alone]
    assert all(a.end < b.start or b.end < a.start for a, b in combinations(alone, 2))


@given(SEEDS)
def test_each_fault_comes_once_without_any_other_before_they_overlap(seed: int) -> None:
    planned = plan(seed, 1800)
    alone, rest = planned[: len(KINDS)], planned[len(KINDS) :]
    assert {use.kind.name for use in alone} == KINDS.keys()
    assert all(a.end < b.start for a, b in pairwise(planned[: len(KINDS) + 1]))
    assert any(a.end > b.start for a, b in pairwise(rest))


@given(SEEDS, st.floats(20, 2000))
def test_a_seed_gives_the_same_plan_again(seed: int, seconds: float) -> None:
    assert plan(seed, seconds) == plan(seed, seconds)
