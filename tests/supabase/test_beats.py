"""The row by which a relay knows that the database has not gone back."""

from __future__ import annotations

from typing import Any

from tests.supabase.servers import Connection, Database, one

INSTANCE = "00000000-0000-4000-8000-000000000001"


def beat(relay: Connection, number: int) -> tuple[Any, Any]:
    """Which beat the row had before, and which it has."""
    told = one(relay, "select public.relay_heartbeat(%s, %s)", INSTANCE, number)
    assert told["instance"] == INSTANCE
    return told["before"], told["beat"]


def test_a_beat_is_told_the_one_before_it_and_never_goes_back(database: Database) -> None:
    relay = database.connect("service_role")
    assert beat(relay, 1) == (None, 1)
    assert beat(relay, 5) == (1, 5)
    assert beat(relay, 4) == (5, 5)
    assert beat(relay, 6) == (5, 6)
