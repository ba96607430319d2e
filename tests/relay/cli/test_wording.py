"""Frames in words."""

from typing import Any

from relay.cli.terminal import describe
from relay.client import ending

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


REASON = "56 % more kg per km than this supplier's usual 0.6; mainly load -36 %"


def words(table: str, record: dict[str, Any]) -> str:
    changed_at = "2026-01-05T09:14:02.118Z"
    frame = {"type": "UPDATE", "table": table, "record": record, "changed_at": changed_at}
    return describe(frame)


def test_a_hotspot_is_one_line_with_its_time_its_figures_and_its_reason() -> None:
    figures = (
        "09:14:02 UPDATE hotspots #41 critical active Northwind_Freight logistics"
        " +56.0 % (93.6 kg CO2, usually 60.0)"
    )
    assert words("hotspots", HOTSPOT | {"reason": REASON}) == f"{figures}: {REASON}"
    assert words("hotspots", HOTSPOT | {"reason": ""}) == figures
    assert words("hotspots", HOTSPOT) == figures


def test_a_hotspot_that_ended_says_how() -> None:
    ended = HOTSPOT | {"status": "resolved", "resolution": "new_normal", "reason": REASON}
    assert "#41 critical resolved (new normal) Northwind_Freight" in words("hotspots", ended)


def test_an_alert_says_its_message_and_its_hotspot() -> None:
    alert = {
        "id": 9,
        "hotspot_id": 41,
        "level": "warn",
        "message": f"Northwind_Freight: {REASON}",
        "reason": REASON,
        "acknowledged": False,
    }
    line = f"09:14:02 UPDATE alerts #9 warn Northwind_Freight: {REASON} (hotspot #41)"
    assert words("alerts", alert) == line
    assert words("alerts", alert | {"acknowledged": True}) == f"{line}, acknowledged"
    bare = words("alerts", alert | {"message": "High CO2 at Northwind_Freight"})
    assert bare.endswith(f"High CO2 at Northwind_Freight: {REASON} (hotspot #41)")


def test_a_recommendation_says_what_it_saves_and_why_and_of_which_hotspot() -> None:
    advice = {
        "id": 5,
        "hotspot_id": 41,
        "status": "pending",
        "action": "Consolidate consignments",
        "co2_reduction": 12.34,
        "co2_reduction_month": 1290.91,
        "root_cause": "Load -36 % against its usual value: 450 kg instead of 700",
    }
    line = "09:14:02 UPDATE recommendations #5 pending Consolidate consignments"
    cause = advice["root_cause"]
    assert words("recommendations", advice) == (
        f"{line} (saves 12.3 kg CO2, 1,290.9 in 30 days): {cause} (hotspot #41)"
    )
    another = advice | {"co2_reduction": None, "co2_reduction_month": None, "root_cause": None}
    assert words("recommendations", another) == f"{line} (hotspot #41)"


def test_deletions_and_leaves_name_the_row() -> None:
    deletion = {"type": "DELETE", "table": "alerts", "old_record": {"id": 7}, "record": None}
    assert describe(deletion).split() == ["DELETE", "alerts", "#7", "deleted"]
    leave = {"type": "LEAVE", "table": "hotspots", "id": 7, "version": 4}
    assert describe(leave).split()[:3] == ["LEAVE", "hotspots", "#7"]


def test_rows_cannot_play_with_the_terminal() -> None:
    row = HOTSPOT | {"entity": "North\x1b[31m\u3000wind", "reason": "one\ntwo"}
    line = words("hotspots", row)
    assert "North\ufffd[31m\u3000wind" in line
    assert line.endswith(": one\ufffdtwo")


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
