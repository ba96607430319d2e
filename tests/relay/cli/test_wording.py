"""Frames in words."""

from relay.cli.terminal import describe
from relay.client import ending, printable

HOTSPOT = {
    "id": 41,
    "entity": "Northwind_Freight",
    "event_type": "logistics",
    "severity": "critical",
    "status": "active",
    "predicted_co2": 93.6,
    "baseline_co2": 60.0,
    "percent_above": 56.0,
}


def test_a_change_is_one_line_with_its_time_and_figures() -> None:
    frame = {
        "type": "UPDATE",
        "table": "hotspots",
        "record": HOTSPOT,
        "version": 2,
        "changed_at": "2026-01-05T09:14:02.118Z",
    }
    assert describe(frame) == (
        "09:14:02 UPDATE hotspots #41 critical active Northwind_Freight logistics"
        " +56.0 % (93.6 kg CO2, usually 60.0)"
    )


def test_deletions_and_leaves_name_the_row() -> None:
    deletion = {"type": "DELETE", "table": "alerts", "old_record": {"id": 7}, "record": None}
    assert describe(deletion).split() == ["DELETE", "alerts", "#7", "deleted"]
    leave = {"type": "LEAVE", "table": "hotspots", "id": 7, "version": 4}
    assert describe(leave).split()[:3] == ["LEAVE", "hotspots", "#7"]


def test_rows_cannot_play_with_the_terminal() -> None:
    assert printable("a\x1b[31mb\nc\u202ed") == "a�[31mb�c�d"


def test_an_ending_says_what_it_means_and_whether_to_come_back() -> None:
    assert ending(4502, "no parameter 'x'") == (
        "closed with 4502: a query parameter is unknown or has a bad value"
        " (do not come back unchanged): no parameter 'x'"
    )
    assert "come back later" in ending(1012, "")


def test_an_expired_token_is_told_once_and_needs_another_one() -> None:
    meaning = "the token expired, or is not valid yet"
    assert ending(4001, meaning) == f"closed with 4001: {meaning} (come back with another one)"
    assert ending(1006, "the connection broke off") == "closed with 1006 the connection broke off"
