import dataclasses

from worker.episodes import Change, Episode, Judged, advance
from worker.events import Key
from worker.severity import Severity

KEY = Key("A", "supplier", "logistics")


def hot(event_id: int, predicted: float, severity: Severity) -> Judged:
    return Judged(event_id, predicted, 100.0, severity)


NORMAL = Judged(9, 100.0, 100.0, None)
OPEN = Episode(KEY, 1, 135.0, 100.0, 35.0, Severity.WARN, id=7, version=3)


def test_a_hot_event_opens_an_episode_where_none_is_open() -> None:
    episode, change = advance(None, KEY, hot(1, 135.0, Severity.WARN), 0)
    assert change is Change.OPENED
    assert episode == Episode(KEY, 1, 135.0, 100.0, 35.0, Severity.WARN)
    assert episode.id is None


def test_a_normal_event_opens_nothing() -> None:
    assert advance(None, KEY, NORMAL, 8) == (None, None)


def test_a_hot_event_that_is_not_worse_changes_nothing() -> None:
    assert advance(OPEN, KEY, hot(2, 135.0, Severity.WARN), 0) == (OPEN, None)
    assert advance(OPEN, KEY, hot(2, 115.0, Severity.INFO), 0) == (OPEN, None)


def test_a_worse_event_becomes_the_peak() -> None:
    episode, change = advance(OPEN, KEY, hot(2, 140.0, Severity.WARN), 0)
    assert change is Change.WORSENED
    assert episode == Episode(KEY, 2, 140.0, 100.0, 40.0, Severity.WARN, id=7, version=3)


def test_a_higher_severity_escalates() -> None:
    episode, change = advance(OPEN, KEY, hot(2, 180.0, Severity.CRITICAL), 0)
    assert change is Change.ESCALATED
    assert episode is not None
    assert (episode.severity, episode.event_id) == (Severity.CRITICAL, 2)


def test_a_higher_severity_escalates_even_when_the_percentage_is_lower() -> None:
    extreme = dataclasses.replace(OPEN, percent_above=400.0)
    zero = Judged(2, 1.0, 0.0, Severity.CRITICAL)
    episode, change = advance(extreme, KEY, zero, 0)
    assert change is Change.ESCALATED
    assert episode is not None
    assert episode.percent_above == 100.0


def test_the_third_normal_event_in_a_row_resolves() -> None:
    assert advance(OPEN, KEY, NORMAL, 2) == (OPEN, None)
    assert advance(OPEN, KEY, NORMAL, 3) == (
        dataclasses.replace(OPEN, status="resolved"),
        Change.RESOLVED,
    )


def test_a_stored_row_goes_both_ways() -> None:
    row = OPEN.row()
    assert row["severity"] == "warn"
    assert (row["id"], row["version"], row["entity"]) == (7, 3, "A")
    assert Episode.from_row(row | {"created_at": "x", "tx": 5}) == OPEN
