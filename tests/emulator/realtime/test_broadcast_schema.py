"""What a database offers for broadcasting, and what becomes of errors there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from psycopg.errors import InsufficientPrivilege, RaiseException

from emulator import migrations
from emulator.database import Database

NOT_FOR_STATEMENTS = "function can only be triggered for each row, not for each statement"
CHANGES = "select realtime.broadcast_changes('t', 'e', %s, 'tab', 'sch', null, null, %s)"


@pytest.fixture
def connection(recorded: Database) -> Iterator[psycopg.Connection]:
    with psycopg.connect(recorded.dsn(), autocommit=True) as connection:
        yield connection


def warnings(connection: psycopg.Connection) -> list[str]:
    """The texts of the warnings that come from now on."""
    found: list[str] = []
    connection.add_notice_handler(lambda notice: found.append(notice.message_primary or ""))
    return found


def partitions(connection: psycopg.Connection) -> list[str]:
    rows = connection.execute(
        "select inhrelid::regclass::text from pg_inherits"
        " where inhparent = 'realtime.messages'::regclass order by 1"
    )
    return [name for (name,) in rows]


def day(offset: int) -> str:
    return f"realtime.messages_{datetime.now(UTC) + timedelta(days=offset):%Y_%m_%d}"


def test_there_are_partitions_from_yesterday_to_three_days_ahead(
    connection: psycopg.Connection,
) -> None:
    assert partitions(connection) == [day(offset) for offset in range(-1, 4)]


def test_upkeep_makes_missing_partitions_and_drops_those_over_three_days(
    recorded: Database, connection: psycopg.Connection
) -> None:
    with psycopg.connect(recorded.dsn("supabase_admin"), autocommit=True) as admin:
        for offset in (-3, -4):
            start = f"{datetime.now(UTC) + timedelta(days=offset):%Y-%m-%d}"
            end = f"{datetime.now(UTC) + timedelta(days=offset + 1):%Y-%m-%d}"
            admin.execute(
                f"create table {day(offset)} partition of realtime.messages"
                f" for values from ('{start}') to ('{end}')".encode()
            )
        admin.execute(f"drop table {day(2)}".encode())
        admin.execute(migrations.PARTITIONS.read_bytes())
    assert partitions(connection) == [day(-3), *(day(offset) for offset in range(-1, 4))]


def test_bootstrap_can_be_repeated_and_keeps_policies_and_rows(
    recorded: Database, connection: psycopg.Connection
) -> None:
    connection.execute("select realtime.send('{}', 'e', 't')")
    policies = "select count(*) from pg_policies where schemaname = 'realtime'"
    before = connection.execute(policies).fetchall()
    migrations.bootstrap(recorded.dsn("supabase_admin"))
    assert connection.execute(policies).fetchall() == before != [(0,)]
    assert connection.execute("select count(*) from realtime.messages").fetchall() == [(1,)]


def test_bootstrap_brings_it_to_a_database_from_before(
    recorded: Database, connection: psycopg.Connection
) -> None:
    with psycopg.connect(recorded.dsn("supabase_admin"), autocommit=True) as admin:
        admin.execute("drop publication supabase_realtime_messages_publication")
        admin.execute("drop table realtime.messages")
        admin.execute("drop function realtime.topic, realtime.send, realtime.broadcast_changes")
    migrations.bootstrap(recorded.dsn("supabase_admin"))
    connection.execute("select realtime.send('{}', 'e', 't')")
    rows = connection.execute("select topic, event, private, extension from realtime.messages")
    assert rows.fetchall() == [("t", "e", True, "broadcast")]


def test_everything_belongs_to_realtimes_own_role(connection: psycopg.Connection) -> None:
    owners = connection.execute(
        "select distinct pg_get_userbyid(relowner) from pg_class"
        " where relnamespace = 'realtime'::regnamespace union"
        " select pg_get_userbyid(proowner) from pg_proc"
        " where pronamespace = 'realtime'::regnamespace"
    )
    assert owners.fetchall() == [("supabase_realtime_admin",)]
    with pytest.raises(InsufficientPrivilege):
        connection.execute("create table realtime.mine (id int)")


def test_the_payload_gets_the_messages_id_unless_it_has_one(
    connection: psycopg.Connection,
) -> None:
    connection.execute("select realtime.send('{\"a\": 1}', 'e', 't', false)")
    connection.execute("select realtime.send('{\"id\": 7}', 'e', 't', true)")
    rows = connection.execute(
        "select payload - 'id', payload ->> 'id' = id::text, private from realtime.messages"
        " order by private"
    )
    assert rows.fetchall() == [({"a": 1}, True, False), ({}, False, True)]


def test_a_message_without_partition_is_a_warning_and_the_transaction_goes_on(
    recorded: Database, connection: psycopg.Connection
) -> None:
    with psycopg.connect(recorded.dsn("supabase_admin"), autocommit=True) as admin:
        for name in partitions(connection):
            admin.execute(f"drop table {name}".encode())
    found = warnings(connection)
    connection.execute("insert into bcast (name) values ('kept')")
    assert len(found) == 1
    said = r"WarnSendingBroadcastMessage: no partition of relation \"messages\" found for row"
    assert re.match(said, found[0])
    assert connection.execute("select name from bcast").fetchall() == [("kept",)]


@pytest.mark.parametrize("payload", ["[1]", "1", "null"])
def test_a_payload_that_is_no_object_is_a_warning(
    connection: psycopg.Connection, payload: str
) -> None:
    found = warnings(connection)
    connection.execute("select realtime.send(%s::jsonb, 'e', 't')", (payload,))
    assert [text.partition(":")[0] for text in found] == ["WarnSendingBroadcastMessage"]


def test_without_a_policy_for_it_a_users_message_is_a_warning(
    connection: psycopg.Connection,
) -> None:
    found = warnings(connection)
    with connection.transaction():
        connection.execute("set local role authenticated")
        connection.execute("select realtime.send('{}', 'e', 'team:open')")
        connection.execute("select realtime.send('{}', 'e', 'team:closed')")
    assert len(found) == 1
    assert "row-level security" in found[0]
    topics = connection.execute("select topic from realtime.messages")
    assert topics.fetchall() == [("team:open",)]


@pytest.mark.parametrize(
    ("operation", "level", "said"),
    [
        ("TRUNCATE", "ROW", "Failed to process the row: Unexpected operation type: TRUNCATE"),
        (
            "INSERT",
            "STATEMENT",
            "Failed to process the row: " + NOT_FOR_STATEMENTS,
        ),
    ],
)
def test_broadcast_changes_is_for_rows_that_changed(
    connection: psycopg.Connection, operation: str, level: str, said: str
) -> None:
    with pytest.raises(RaiseException) as raised:
        connection.execute(CHANGES, (operation, level))
    assert raised.value.diag.message_primary == said


def test_a_missing_function_fails_the_write_that_announces(
    recorded: Database, connection: psycopg.Connection
) -> None:
    with psycopg.connect(recorded.dsn("supabase_admin"), autocommit=True) as admin:
        admin.execute("drop function realtime.send(jsonb, text, text, boolean)")
    with pytest.raises(RaiseException, match="Failed to process the row"):
        connection.execute("insert into bcast (name) values ('lost')")
    assert connection.execute("select count(*) from bcast").fetchall() == [(0,)]


def test_the_topic_is_known_where_a_message_is_written(connection: psycopg.Connection) -> None:
    with connection.transaction():
        connection.execute("select realtime.send('{}', 'e', 'here')")
        assert connection.execute("select realtime.topic()").fetchall() == [("here",)]
    assert connection.execute("select realtime.topic()").fetchall() == [(None,)]
