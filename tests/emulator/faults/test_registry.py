"""Faults by time and count, the order of what passes them, and the tenant's rate limit."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.faults import Faults, gate
from emulator.faults.gate import Passage
from emulator.realtime.rate import RateCounter


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_fault_ends_when_its_time_is_over() -> None:
    clock = Clock(100)
    faults = Faults(clock)
    fault = faults.start("withhold", seconds=5)
    assert faults.next_end() == 105
    clock.now = 104.9
    assert faults.active("withhold") == [fault]
    clock.now = 105
    assert faults.active("withhold") == []
    assert fault.ended
    assert faults.next_end() is None


def test_a_fault_hits_no_more_than_its_count() -> None:
    faults = Faults(Clock())
    fault = faults.start("withhold", count=3)
    assert [faults.hit(fault, 2), faults.hit(fault, 2), faults.hit(fault, 2)] == [2, 1, 0]
    assert (fault.hits, fault.ended) == (3, True)


def test_a_fault_that_holds_goes_on_for_what_it_hit() -> None:
    faults = Faults(Clock())
    fault = faults.start("stall", count=1)
    assert [faults.hit(fault), faults.hit(fault)] == [1, 0]
    assert faults.active("stall") == [fault]


def test_what_follows_the_faults_is_told_of_start_and_end() -> None:
    faults, told = Faults(Clock()), []
    stop = faults.on_change(lambda: told.append(len(faults.active("stall"))))
    with faults.during("stall"):
        pass
    stop()
    faults.start("stall")
    assert told == [1, 0]


def test_ended_faults_are_remembered_within_limits() -> None:
    faults = Faults(Clock())
    for _ in range(500):
        faults.stop(faults.start("stall"))
    assert len(faults.all()) == 100
    assert faults.find(500) is not None
    assert faults.find(1) is None


ROWS = st.lists(st.tuples(st.integers(0, 4), st.integers()), max_size=30)


@given(ROWS)
def test_reordering_loses_nothing_and_keeps_the_order_of_each_row(
    rows: list[tuple[int, int]],
) -> None:
    faults = Faults(Clock())
    faults.start("reorder")
    changes = [Passage((row, number), row) for number, (row, _) in enumerate(rows)]
    passed = gate.passing(faults, "postgres_changes", changes)
    assert sorted(passed) == sorted(change.item for change in changes)
    for wanted in {row for row, _ in rows}:
        numbers = [number for row, number in passed if row == wanted]
        assert numbers == sorted(numbers)


@given(st.integers(1, 40), st.integers(0, 40))
def test_withheld_and_passed_changes_are_all_there_were(count: int, size: int) -> None:
    faults = Faults(Clock())
    fault = faults.start("withhold", count=count)
    changes = [Passage(number, number) for number in range(size)]
    assert gate.passing(faults, "broadcast", changes) == [*range(min(count, size), size)]
    assert fault.hits == faults.lost["withheld"] == min(count, size)


def test_the_recorded_burst_is_punished_for_as_long_as_it_was() -> None:
    """8,000 rows came whole from 9.2 s to 14 s, then nothing from 14 s to 72 s."""
    clock = Clock()
    rate = RateCounter(100, 1, clock)
    for row in range(8000):
        clock.now = 9.2 + row * 4.8 / 8000
        assert not rate.exceeded()
        rate.add(1)
    dropped = []
    for second in range(14, 101):
        clock.now = second + 0.05
        if rate.exceeded():
            dropped.append(second)
        else:
            rate.add(1)
    assert dropped == [*range(dropped[0], dropped[-1] + 1)]
    assert dropped[0] == pytest.approx(14, abs=1)
    assert dropped[-1] == pytest.approx(72, abs=2)


def test_without_a_limit_nothing_is_exceeded() -> None:
    clock = Clock()
    rate = RateCounter(None, 1, clock)
    rate.add(10**9)
    clock.now = 10
    assert not rate.exceeded()
