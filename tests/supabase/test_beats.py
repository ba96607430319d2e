"""The row by which a relay knows that the database has not gone back."""

from __future__ import annotations

from typing import Any, LiteralString

import psycopg
import pytest

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


def test_only_the_relay_that_made_a_row_raises_its_beat(database: Database) -> None:
    """Or the database could go back without being noticed by clients of that relay."""
    one_relay, other = (database.connect("relay_reader", user="authenticator") for _ in range(2))
    call: LiteralString = "select public.relay_heartbeat(%s, %s, %s)"
    assert one(one_relay, call, INSTANCE, 1, "the secret of one")["beat"] == 1
    for guess in ("another secret", "", None):
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="belongs to another relay"):
            other.execute(call, (INSTANCE, 1000, guess))
    assert one(one_relay, call, INSTANCE, 2, "the secret of one")["before"] == 1


def test_a_relay_of_before_goes_on_with_the_row_that_it_has(database: Database) -> None:
    relay = database.connect("service_role")
    assert beat(relay, 1) == (None, 1)
    assert beat(relay, 2) == (1, 2)
