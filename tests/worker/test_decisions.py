"""What people say of a hotspot, obeyed by the worker with the events that follow."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from emulator.running import Emulator
from tests.worker.conftest import Table
from tests.worker.test_past import BEGIN, scanned, state, work

WORDS = ("resolved", "ignored", "accepted", "rejected", "acknowledged")


def decide(tables: Table, decision: str) -> int:
    (row,) = tables.rows(
        "select (decide_hotspot(max(id), %s, 'a test')).id from hotspots", decision
    )
    return int(row["id"])


def shown(tables: Table) -> list[tuple[Any, ...]]:
    rows = tables.rows("select status, resolution, held from hotspots order by id")
    return [tuple(row.values()) for row in rows]


def kinds(tables: Table) -> list[str]:
    return [row["kind"] for row in tables.rows("select kind from alerts order by id")]


@pytest.mark.parametrize(
    ("decision", "expected"),
    [
        ("resolved", ("resolved", None, False)),
        ("ignored", ("ignored", None, False)),
        ("accepted", ("resolved", "new_normal", False)),
        ("rejected", ("active", None, True)),
        ("acknowledged", ("active", None, False)),
    ],
)
async def test_a_decision_survives_the_next_events(
    emulator: Emulator, tables: Table, decision: str, expected: tuple[Any, ...]
) -> None:
    rows = work(70, hot=range(60, 70))
    tables.insert(rows[:66])
    await scanned(emulator)
    decide(tables, decision)
    for number in (66, 67):  # one or two more are no new evidence
        tables.insert(rows[number : number + 1])
        await scanned(emulator)
    assert shown(tables) == [expected]
    assert kinds(tables) == ["opened"]


async def test_what_was_resolved_by_a_person_is_opened_again_by_new_evidence(
    emulator: Emulator, tables: Table
) -> None:
    rows = work(90, hot=range(60, 90))
    tables.insert(rows[:66])
    await scanned(emulator)
    former = decide(tables, "resolved")
    tables.insert(rows[66:])
    await scanned(emulator)
    assert [row[0] for row in shown(tables)] == ["resolved", "active"]
    (newer,) = tables.rows("select previous_id from hotspots where status = 'active'")
    assert newer == {"previous_id": former}
    alerts = tables.rows("select kind, reason, occurred_at from alerts order by id")
    assert [alert["kind"] for alert in alerts] == ["opened", "reopened"]
    assert alerts[0]["occurred_at"] == BEGIN + timedelta(days=60)
    assert alerts[1]["occurred_at"] > BEGIN + timedelta(days=66)
    assert all("tonne-km" in alert["reason"] for alert in alerts)


async def test_what_is_not_normal_never_becomes_so_by_itself(
    emulator: Emulator, tables: Table
) -> None:
    rows = work(200, hot=range(60, 200))
    tables.insert(rows[:66])
    await scanned(emulator)
    decide(tables, "rejected")
    tables.insert(rows[66:])
    await scanned(emulator)
    assert shown(tables) == [("active", None, True)]


@pytest.mark.parametrize("decision", WORDS)
@pytest.mark.parametrize("heard", [True, False], ids=["after a scan", "before a scan"])
async def test_what_was_taken_back_was_never_said(
    emulator: Emulator, tables: Table, decision: str, heard: bool
) -> None:
    rows = work(70, hot=range(60, 70))
    tables.insert(rows[:66])
    await scanned(emulator)
    expected = state(tables)
    number = decide(tables, decision)
    if heard:
        await scanned(emulator)
    answer = tables.rows("select undo('hotspot', %s) as it", [number])[0]["it"]
    assert answer == {"done": [number], "refused": []}
    await scanned(emulator)
    assert state(tables) == expected
    assert shown(tables) == [("active", None, False)]
    tables.insert(rows[66:])
    await scanned(emulator)
    assert shown(tables) == [("active", None, False)]
    assert kinds(tables) == ["opened"]


@pytest.mark.parametrize("undone", [True, False])
async def test_a_reset_key_warms_up_anew_unless_that_is_taken_back(
    emulator: Emulator, tables: Table, undone: bool
) -> None:
    rows = work(75, hot=range(60, 75))
    tables.insert(rows[:66])
    await scanned(emulator)
    expected = state(tables)
    made = tables.rows("select reset_key('A', 'logistics') as it")[0]["it"]
    await scanned(emulator)
    assert shown(tables) == [("resolved", "superseded", False)]
    assert tables.rows("select * from detectors") == []
    if undone:
        tables.rows("select undo('key', %s)", [made["id"]])
        await scanned(emulator)
        assert state(tables) == expected
        assert shown(tables) == [("active", None, False)]
    else:
        tables.insert(rows[66:])
        await scanned(emulator)
        assert [row[0] for row in shown(tables)] == ["resolved"]
        learned = tables.rows("select learned from detectors where series = 'event'")
        assert learned == [{"learned": 9}]
    assert kinds(tables) == ["opened"]


async def test_a_silence_ends_by_the_clock_on_the_wall_over_a_change_of_the_clocks(
    emulator: Emulator, tables: Table
) -> None:
    """From eight in the evening to eight in the morning are thirteen hours in that night."""
    zone = ZoneInfo("Europe/Berlin")
    begins = datetime(2026, 10, 24, 20, tzinfo=zone)
    until = datetime(2026, 10, 25, 8, tzinfo=zone)
    assert until.astimezone(UTC) - begins.astimezone(UTC) == timedelta(hours=13)
    tables.execute(  # the function takes no end that is over
        "insert into silences (entity, starts_at, until, why) values ('A', %s, %s, 'a test')",
        begins.isoformat(),
        until.isoformat(),
    )
    shift = begins.astimezone(UTC) + timedelta(hours=1) - BEGIN - timedelta(days=69)
    rows = work(70, hot=[69])
    for row in rows:
        row["timestamp"] = (datetime.fromisoformat(row["timestamp"]) + shift).isoformat()
    tables.insert(rows)
    told = []
    for at in (
        begins.astimezone(UTC) + timedelta(hours=2),
        until.astimezone(UTC) - timedelta(seconds=1),
        until.astimezone(UTC),
        until.astimezone(UTC) + timedelta(hours=1),
    ):
        await scanned(emulator, wall=at.timestamp)
        told.append(kinds(tables))
    assert told == [[], [], ["opened"], ["opened"]]
    assert tables.rows("select status, announced from hotspots") == [
        {"status": "active", "announced": True}
    ]


@pytest.mark.parametrize(
    ("entity", "event_type", "severity", "silenced"),
    [
        ("A", None, None, True),
        ("B", None, None, False),
        (None, "logistics", None, True),
        (None, "factory", None, False),
        ("A", "logistics", "critical", True),
        ("A", None, "warn", False),  # it is critical
    ],
)
async def test_a_silence_keeps_back_what_it_names(
    emulator: Emulator, tables: Table, entity: str, event_type: str, severity: str, silenced: bool
) -> None:
    until = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    tables.rows("select silence(%s, 'a test', %s, %s, %s)", until, entity, event_type, severity)
    tables.insert(work(70, hot=[69]))
    await scanned(emulator)
    assert (kinds(tables) == []) is silenced
    assert tables.rows("select status from hotspots") == [{"status": "active"}]


async def test_the_same_severity_of_a_key_is_told_once_within_the_cool_down(
    emulator: Emulator, tables: Table
) -> None:
    """Every five hours a trip, and what comes back after twenty hours is not told again."""
    rows = work(96, hot=[80, 84, 90])
    for number, row in enumerate(rows):
        row["timestamp"] = (BEGIN + timedelta(hours=5 * number)).isoformat()
    tables.insert(rows)
    await scanned(emulator)
    opened = tables.rows("select announced from hotspots order by id")
    assert [row["announced"] for row in opened] == [True, False, True]
    assert kinds(tables) == ["opened", "resolved", "reopened", "resolved"]
