"""What the harness' clients take, and what they notice of a relay that does wrong."""

from __future__ import annotations

import json
from typing import Any

import pytest

from chaos.application import Application, BareRows, Taken
from chaos.frames import COLUMNS
from chaos.subscriptions import Subscription

ALL = Subscription("recommendations")
PENDING = Subscription("recommendations", (("status", ("pending",)),))


def record(row_id: int, version: int, status: str = "pending") -> dict[str, Any]:
    """A row whose other columns do not matter."""
    named = {"id": row_id, "co2_reduction": version, "status": status}
    return dict.fromkeys(COLUMNS["recommendations"]) | named


class Seen:
    """One application, and what it noted."""

    def __init__(self, wanted: Subscription = ALL) -> None:
        self.notes: list[str] = []
        self.application = Application(wanted, lambda kind, what: self.notes.append(kind))
        self.connect()

    def connect(self, **hello: Any) -> str | None:
        cursor = self.application.connected()
        self.say("hello", resumed=cursor is not None, reason=None, **hello)
        return cursor

    def say(self, type: str, **members: Any) -> None:
        self.application.take(json.dumps({"type": type, **members}))

    def row(self, row_id: int, version: int, status: str = "pending") -> Taken | None:
        taken = self.application.take(
            json.dumps(
                {
                    "type": "UPDATE",
                    "table": "recommendations",
                    "record": record(row_id, version, status),
                    "version": version,
                }
            )
        )
        assert taken is None or isinstance(taken, Taken)
        return taken

    def gone(self, type: str, row_id: int, version: int) -> None:
        old = {"old_record": {"id": row_id}} if type == "DELETE" else {"id": row_id}
        self.say(type, table="recommendations", version=version, **old)

    def synced(self, cursor: str = "c") -> None:
        self.say("synced", cursor=cursor, complete=True)

    def held(self) -> dict[int, int]:
        return {row_id: version for row_id, (version, _) in self.application.held.items()}


def test_newer_versions_replace_older_ones_and_gone_rows_go() -> None:
    seen = Seen()
    assert seen.row(1, 1) == Taken(1, 0, 1)
    assert seen.row(1, 3) == Taken(1, 1, 3)
    seen.row(2, 1)
    seen.row(3, 1)
    seen.gone("DELETE", 2, 2)
    seen.gone("LEAVE", 3, 2)
    seen.row(3, 3)
    assert seen.held() == {1: 3, 3: 3}
    assert seen.notes == []


def test_what_comes_again_after_a_resume_is_not_taken_twice() -> None:
    seen = Seen()
    seen.row(1, 2)
    seen.synced("here")
    assert seen.connect() == "here"
    assert seen.row(1, 1) is None
    assert seen.row(1, 2) is None
    assert seen.row(1, 3) == Taken(1, 2, 3)
    assert seen.notes == ["resume"]


@pytest.mark.parametrize(("version", "kind"), [(2, "duplicate"), (1, "stale")])
def test_a_version_again_or_an_older_one_on_one_connection_is_noticed(
    version: int, kind: str
) -> None:
    seen = Seen()
    seen.row(1, 2)
    seen.row(1, version)
    assert seen.notes == [kind]


def test_a_row_that_is_put_back_after_its_deletion_is_held_again() -> None:
    seen = Seen()
    seen.row(1, 1)
    seen.gone("DELETE", 1, 2)
    seen.row(1, 3)
    assert (seen.notes, list(seen.held())) == ([], [1])


def test_a_row_of_before_its_deletion_is_noticed() -> None:
    seen = Seen()
    seen.row(1, 1)
    seen.gone("DELETE", 1, 3)
    seen.row(1, 2)
    assert (seen.notes, seen.held()) == (["stale"], {})


def test_a_reset_makes_it_forget_everything() -> None:
    seen = Seen()
    seen.row(1, 5)
    seen.synced()
    seen.say("reset", reason="epoch")
    assert seen.application.cursor is None
    assert not seen.application.synced
    assert seen.row(1, 1) == Taken(1, 0, 1)
    assert seen.notes == ["reset"]


def test_a_client_that_is_not_resumed_begins_anew() -> None:
    seen = Seen()
    seen.row(1, 5)
    seen.synced()
    seen.application.connected()
    seen.say("hello", resumed=False, reason="expired")
    seen.say("reset", reason="expired")
    assert (seen.held(), seen.notes) == ({}, ["reset"])


def test_cursors_before_everything_missed_was_sent_are_noticed() -> None:
    seen = Seen()
    seen.say("cursor", cursor="early")
    assert seen.notes == ["cursor"]
    again = Seen()
    again.synced()
    again.connect(cursor="early")
    assert again.notes == ["cursor", "resume"]


def test_rows_that_do_not_match_or_are_not_whole_are_noticed() -> None:
    seen = Seen(PENDING)
    seen.row(1, 1, "approved")
    row = record(2, 1)
    seen.say("UPDATE", table="recommendations", record=row, version=2)
    seen.say("UPDATE", table="alerts", record=row, version=1)
    lacking = {name: value for name, value in row.items() if name != "action"}
    seen.say("UPDATE", table="recommendations", record=lacking, version=1)
    assert seen.notes == ["filter", "bad frame", "bad frame", "bad frame"]


def test_bare_rows_are_told_apart_by_their_content() -> None:
    notes: list[str] = []
    rows = BareRows(ALL, lambda kind, what: notes.append(kind))

    def take(row_id: int, version: int) -> Taken | None:
        return rows.take(json.dumps(record(row_id, version)))

    assert take(1, 1) == Taken(1, 0, 1)
    assert take(1, 4) == Taken(1, 1, 4)
    assert rows.take('{"id": 1, "deleted": true}') is None
    assert (rows.held, notes) == ({}, [])
    assert take(1, 6) == Taken(1, 5, 6)
    assert rows.take('{"id": 1, "deleted": true}') is None
    take(1, 6)
    take(2, 2)
    take(2, 2)
    assert notes == ["stale", "duplicate"]
    rows.connected()
    assert take(2, 1) == Taken(2, 0, 1)
