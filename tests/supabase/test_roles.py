"""The rights of every role on every table and function, on new and on older projects."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import LiteralString

import psycopg
import pytest

from emulator import migrations
from tests.supabase import access, rows, servers
from tests.supabase.rows import TABLES
from tests.supabase.servers import Connection, Database, one


@pytest.fixture(scope="module", params=["new project", "older project"])
def project(
    request: pytest.FixtureRequest, version: int, tmp_path_factory: pytest.TempPathFactory
) -> Database:
    """The migrated schema where the emulator prepared the database, or an older hosted project.

    `version` is here to be seen when the tests are collected.
    """
    if request.param == "new project":
        prepared: Database = request.getfixturevalue("shared")
        return prepared
    older: Database = request.getfixturevalue("bare")
    older.connect().execute(servers.OLD_DEFAULTS)
    directory = tmp_path_factory.mktemp("older") / "migrations"
    shutil.copytree(servers.PROJECT / "migrations", directory)
    migrations.migrate(older.dsn(), directory)
    return older


@pytest.fixture
def owner(project: Database) -> Iterator[Connection]:
    with project.connect() as connection:
        yield connection


def test_tables_grant_exactly_what_the_design_says(owner: Connection) -> None:
    assert access.actual_tables(owner) == access.TABLES


def test_sequences_grant_exactly_what_the_design_says(owner: Connection) -> None:
    assert access.actual_sequences(owner) == access.SEQUENCES


def test_functions_grant_exactly_what_the_design_says(owner: Connection) -> None:
    assert access.actual_functions(owner) == access.FUNCTIONS


def test_every_table_has_row_level_security(owner: Connection) -> None:
    found = owner.execute(
        "select relname, relrowsecurity from pg_class"
        " where relnamespace = 'public'::regnamespace and relkind in ('r', 'p')"
    ).fetchall()
    assert {row["relname"]: row["relrowsecurity"] for row in found} == dict.fromkeys(
        access.TABLES.keys() - access.VIEWS, True
    )


def test_views_show_what_their_reader_may_read_of_the_tables(owner: Connection) -> None:
    found = owner.execute(
        "select relname, reloptions from pg_class"
        " where relnamespace = 'public'::regnamespace and relkind = 'v'"
    ).fetchall()
    assert {row["relname"] for row in found} == access.VIEWS
    assert all(row["reloptions"] == ["security_invoker=on"] for row in found)


def test_the_policies_are_those_of_the_design(owner: Connection) -> None:
    found = owner.execute(
        "select tablename, cmd, array_to_string(roles, ',') as roles, permissive,"
        " coalesce(qual, with_check) as condition from pg_policies where schemaname = 'public'"
    ).fetchall()
    assert {(row["tablename"], row["cmd"], row["roles"]) for row in found} == access.POLICIES
    assert len(found) == len(access.POLICIES)
    assert {row["permissive"] for row in found} == {"PERMISSIVE"}
    # Decisions are read by those who may see what they were about.
    conditions = {row["tablename"]: row["condition"] for row in found}
    about = conditions.pop("audit_log")
    assert all(f"FROM {table}" in about for table in TABLES)
    assert set(conditions.values()) == {"true"}


def test_every_function_has_an_empty_search_path(owner: Connection) -> None:
    found = owner.execute(
        "select proname, proconfig from pg_proc where pronamespace = 'public'::regnamespace"
    ).fetchall()
    loose = [row["proname"] for row in found if 'search_path=""' not in (row["proconfig"] or [])]
    assert loose == []


def test_every_table_has_a_comment(owner: Connection) -> None:
    found = owner.execute(
        "select relname from pg_class where relnamespace = 'public'::regnamespace"
        " and relkind in ('r', 'p', 'v', 'm') and obj_description(oid, 'pg_class') is null"
    ).fetchall()
    assert found == []


def test_exactly_six_tables_are_published(owner: Connection) -> None:
    found = owner.execute(
        "select pubname, tablename from pg_publication_tables where schemaname <> 'realtime'"
    ).fetchall()
    assert {(row["pubname"], row["tablename"]) for row in found} == {
        ("supabase_realtime", table) for table in access.PUBLISHED
    }
    assert owner.execute("select 1 from pg_publication where puballtables").fetchall() == []


# The matrix is what the catalogue says. These are what a caller meets.


def acting_as(project: Database, role: str) -> Connection:
    """A connection that became `role` as REST does: from `authenticator`."""
    return project.connect(role, user="authenticator")


@pytest.mark.parametrize("role", access.ROLES)
def test_a_role_reads_the_rows_of_the_tables_it_may_read(project: Database, role: str) -> None:
    worker = acting_as(project, "service_role")
    row = rows.insert(worker, "alerts")
    rows.insert(worker, "recommendations")
    rows.delete(worker, "alerts", row)
    rows.insert(worker, "alerts")
    connection = acting_as(project, role)
    for table in (*TABLES, "deletions"):
        query = f"select count(*) > 0 from public.{table}"  # noqa: S608
        if role in ("authenticated", "relay_reader", "service_role"):
            assert one(connection, query) is True
        else:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(query)


@pytest.mark.parametrize("role", ["anon", "authenticated", "event_writer", "relay_reader"])
def test_only_the_service_writes_the_three_tables(project: Database, role: str) -> None:
    row = rows.insert(acting_as(project, "service_role"), "hotspots")
    connection = acting_as(project, role)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        rows.insert(connection, "hotspots")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        rows.change(connection, "hotspots", row, 0.0)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        rows.delete(connection, "hotspots", row)


INSERT_EVENT: LiteralString = (
    "insert into public.events_normalized (event_type, supplier_id, timestamp)"
    " values ('factory', 'Foundry', now())"
)


def test_an_event_writer_inserts_events_and_does_nothing_else(project: Database) -> None:
    worker, writer = acting_as(project, "service_role"), acting_as(project, "event_writer")
    before: int = one(worker, "select count(*) from public.event_queue")
    writer.execute(INSERT_EVENT)
    assert one(worker, "select count(*) from public.event_queue") == before + 1
    assert one(worker, "select count(*) > 0 from public.scans where status = 'queued'") is True
    refused: list[LiteralString] = [
        INSERT_EVENT + " returning id",
        "update public.events_normalized set supplier_id = 'Other'",
        "delete from public.events_normalized",
        "select * from public.scans",
        "select public.request_scan()",
        "select public.changes_since(null)",
    ]
    for statement in refused:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            writer.execute(statement)


def test_an_event_writer_cannot_choose_when_an_event_arrived(project: Database) -> None:
    writer = acting_as(project, "event_writer")
    for column, value in (("created_at", "'2020-01-01'"), ("id", "7")):
        statement = (
            f"insert into public.events_normalized (event_type, supplier_id, timestamp, {column})"  # noqa: S608
            f" overriding system value values ('factory', 'Foundry', now(), {value})"
        )
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            writer.execute(statement.encode())


def test_every_text_of_an_event_is_bounded(project: Database) -> None:
    columns = acting_as(project, "service_role").execute(
        "select column_name as name from information_schema.columns where table_schema = 'public'"
        " and table_name = 'events_normalized' and data_type = 'text'"
    )
    texts = [row["name"] for row in columns]
    assert len(texts) >= 15
    writer = acting_as(project, "event_writer")
    for name in texts:
        given = {"event_type": "factory", "supplier_id": "Foundry", "timestamp": "2026-01-05"}
        given[name] = "x" * 201
        names, values = ", ".join(given), ", ".join(["%s"] * len(given))
        statement = f"insert into public.events_normalized ({names}) values ({values})"  # noqa: S608
        with pytest.raises(psycopg.errors.CheckViolation):
            writer.execute(statement.encode(), list(given.values()))


@pytest.mark.parametrize("role", ["anon", "authenticated"])
def test_users_insert_no_events(project: Database, role: str) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        acting_as(project, role).execute(INSERT_EVENT)


def test_anon_calls_no_function(project: Database) -> None:
    calls: list[LiteralString] = [
        "select public.relay_epoch()",
        "select public.changes_since(null)",
        "select public.decide_recommendation(1, 'approved')",
        "select public.acknowledge_alert(1)",
        "select public.resolve_hotspot(1)",
        "select public.request_scan()",
    ]
    anon = acting_as(project, "anon")
    for call in calls:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            anon.execute(call)
