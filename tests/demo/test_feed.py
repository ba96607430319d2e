"""How far the made-up events have come, and how fast they go on."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from demo.feed import Course, EventClock, _tell
from demo.generator import PROBLEMS, QUIET_DAYS, Problem, lines

BEGIN = datetime(2026, 1, 5, tzinfo=UTC)


class Clocks:
    """A clock on the wall, and seconds that have passed."""

    def __init__(self, wall: datetime) -> None:
        self.wall = wall
        self.seconds = 0.0

    def event_clock(self, days_per_minute: float) -> EventClock:
        return EventClock(BEGIN, days_per_minute, lambda: self.wall, lambda: self.seconds)

    def pass_by(self, seconds: float) -> None:
        self.seconds += seconds
        self.wall += timedelta(seconds=seconds)


def test_a_day_takes_six_seconds_at_ten_days_a_minute() -> None:
    clocks = Clocks(BEGIN + timedelta(days=100))
    clock = clocks.event_clock(10)
    assert clock.now() == BEGIN
    clocks.pass_by(6)
    assert clock.now() == BEGIN + timedelta(days=1)


def test_event_time_never_overtakes_the_present_and_goes_on_with_it() -> None:
    clocks = Clocks(BEGIN + timedelta(days=2))
    clock = clocks.event_clock(10)
    clocks.pass_by(60)
    assert clock.now() == clocks.wall
    clocks.pass_by(3600)
    assert clock.now() == clocks.wall


def test_a_course_begins_at_the_midnight_of_so_many_days_ago(tmp_path: Path) -> None:
    course = Course.continued(tmp_path / "feed.json", seed=3, suppliers=20, history=365)
    assert (course.day, course.sent) == (0, 0)
    age = datetime.now(UTC) - course.begin
    assert timedelta(days=365) <= age < timedelta(days=366, minutes=1)
    assert course.begin.hour == 0


def test_a_course_is_continued_where_it_was(tmp_path: Path) -> None:
    path = tmp_path / "feed.json"
    kept = Course(seed=3, suppliers=20, start=BEGIN.isoformat(), day=70, sent=12)
    kept.save(path)
    assert Course.continued(path, seed=3, suppliers=20, history=10) == kept


def test_data_of_another_seed_goes_on_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "feed.json"
    kept = Course(seed=3, suppliers=20, start=BEGIN.isoformat(), day=70, sent=12)
    kept.save(path)
    with caplog.at_level(logging.WARNING):
        assert Course.continued(path, seed=4, suppliers=20, history=10) == kept
    assert "this data has seed 3 and 20 suppliers" in caplog.text


def test_the_terminal_says_once_when_a_problem_begins(caplog: pytest.LogCaptureFixture) -> None:
    course = Course(seed=1, suppliers=20, start=BEGIN.isoformat())
    problems: list[Problem] = []
    with caplog.at_level(logging.INFO):
        for number in range(QUIET_DAYS + 90):
            course.day = number
            problems = _tell(course, lines(20), problems)
    begun = [problem for problem in PROBLEMS if problem.first < 90]
    assert len(caplog.messages) == len(begun)
    # Also of one that has no events.
    assert "Polar_Dairy: silence for 14 days (no_data notice)" in caplog.text
