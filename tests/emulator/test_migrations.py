"""The emulated project's database: what is in it before and after the migrations."""

from __future__ import annotations

import logging
from pathlib import Path

import psycopg
import pytest

from emulator import migrations
from emulator.database import Database

ALICE = "7f9c24e8-3b12-4f6a-9d5e-0a1b2c3d4e5f"


def ask(dsn: str, query: bytes) -> list[tuple[object, ...]]:
    with psycopg.connect(dsn, autocommit=True) as connection:
        return connection.execute(query).fetchall()


def project(directory: Path, **files: str) -> Path:
    """A directory `migrations` with `files`, numbered in order; `seed` goes beside it."""
    folder = directory / "migrations"
    folder.mkdir(exist_ok=True)
    seed = files.pop("seed", None)
    if seed is not None:
        (directory / "seed.sql").write_text(seed)
    for number, (name, text) in enumerate(files.items(), 1):
        (folder / f"2026010100000{number}_{name}.sql").write_text(text)
    return folder


def test_each_database_holds_the_schema(each_database: Database) -> None:
    assert ask(each_database.dsn(), b"select to_regclass('public.hotspots')::text") == [
        ("hotspots",)
    ]


def test_the_own_project_applies_to_a_database_that_has_roles_and_publication(
    empty_database: Database,
) -> None:
    migrations.bootstrap(empty_database.dsn("supabase_admin"))
    applied = empty_database.prepare(migrations.PROJECT / "migrations")
    assert applied == sorted(applied)
    seeded = ask(empty_database.dsn(), b"select count(*) > 0 from hotspots")
    assert seeded == [(True,)]
    assert empty_database.prepare(migrations.PROJECT / "migrations") == []


def test_roles_are_those_of_a_hosted_project(each_database: Database) -> None:
    roles = ask(
        each_database.dsn(),
        b"select rolname, rolcanlogin, rolsuper, rolbypassrls, rolinherit from pg_roles"
        b" where rolname in ('anon','authenticated','service_role','authenticator','postgres')"
        b" order by rolname",
    )
    assert roles == [
        ("anon", False, False, False, True),
        ("authenticated", False, False, False, True),
        ("authenticator", True, False, False, False),
        ("postgres", True, False, True, True),
        ("service_role", False, False, True, True),
    ]
    members = ask(
        each_database.dsn(),
        b"select r.rolname from pg_auth_members m join pg_roles r on r.oid = m.roleid"
        b" where m.member = 'authenticator'::regrole order by 1",
    )
    assert {("anon",), ("authenticated",), ("service_role",)} <= set(members)


def test_publication_and_database_belong_to_postgres(each_database: Database) -> None:
    owners = ask(
        each_database.dsn(),
        b"select pubowner::regrole::text from pg_publication where pubname = 'supabase_realtime'"
        b" union all select datdba::regrole::text from pg_database"
        b" where datname = current_database()",
    )
    assert owners == [("postgres",), ("postgres",)]


def test_new_tables_are_closed_to_the_api_roles(each_database: Database) -> None:
    with psycopg.connect(each_database.dsn(), autocommit=True) as owner:
        owner.execute("create table fresh (id int)")
    with psycopg.connect(each_database.dsn("authenticator"), autocommit=True) as caller:
        for role in (b"anon", b"authenticated", b"service_role"):
            caller.execute(b"set role " + role)
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                caller.execute("select from fresh")


def test_auth_functions_read_the_claims_of_the_request(each_database: Database) -> None:
    query = "select auth.uid()::text, auth.role(), auth.email(), auth.jwt() ->> 'x'"
    with psycopg.connect(each_database.dsn("authenticator")) as caller:
        caller.execute("set local role authenticated")
        assert caller.execute(query).fetchone() == (None, None, None, None)
        claims = f'{{"sub":"{ALICE}","role":"authenticated","email":"a@b.c","x":1}}'
        caller.execute("select set_config('request.jwt.claims', %s, true)", (claims,))
        assert caller.execute(query).fetchone() == (ALICE, "authenticated", "a@b.c", "1")


def test_migrations_are_recorded_as_the_cli_does(empty_database: Database, tmp_path: Path) -> None:
    folder = project(tmp_path, first="create table a (id int);\n-- end\ninsert into a values (1);")
    assert empty_database.prepare(folder) == ["20260101000001"]
    recorded = ask(
        empty_database.dsn(),
        b"select version, name, statements from supabase_migrations.schema_migrations",
    )
    statements = ["create table a (id int)", "insert into a values (1)"]
    assert recorded == [("20260101000001", "first", statements)]
    owner = ask(empty_database.dsn(), b"select tableowner from pg_tables where tablename = 'a'")
    assert owner == [("postgres",)]


def test_a_database_may_begin_without_sample_rows(empty_database: Database, tmp_path: Path) -> None:
    folder = project(tmp_path, first="create table a (id int)", seed="insert into a values (7);")
    empty_database.prepare(folder, seed=False)
    assert ask(empty_database.dsn(), b"select count(*) from a") == [(0,)]


def test_later_migrations_are_added_and_the_seed_runs_once(
    empty_database: Database, tmp_path: Path
) -> None:
    folder = project(tmp_path, first="create table a (id int)", seed="insert into a values (7);")
    empty_database.prepare(folder)
    project(
        tmp_path,
        first="create table a (id int)",
        second="alter table a add b int default 1",
        seed="insert into a values (8);",
    )
    assert empty_database.prepare(folder) == ["20260101000002"]
    assert ask(empty_database.dsn(), b"select id, b from a") == [(7, 1)]


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("select 1;\n\nselect\n  nothing;\n", 4, 'column "nothing" does not exist'),
        ("select 1;\n\nselect 1\n  / 0;\n", 3, "division by zero"),
        ("select 1;\ncreate table ;\n", 2, 'syntax error at or near ";"|syntax error at end'),
    ],
)
def test_a_failing_migration_names_file_and_line_and_leaves_nothing(
    empty_database: Database, tmp_path: Path, text: str, line: int, message: str
) -> None:
    folder = project(tmp_path, good="create table a (id int)", bad=f"{text}")
    pattern = rf"20260101000002_bad\.sql:{line}: .*({message})"
    (folder / "20260101000002_bad.sql").write_text(f"create table b (); {text}")
    with pytest.raises(migrations.MigrationFailed, match=pattern):
        empty_database.prepare(folder)
    tables = ask(empty_database.dsn(), b"select to_regclass('a')::text, to_regclass('b')::text")
    assert tables == [("a", None)]


def test_settings_of_one_file_do_not_reach_the_next(
    empty_database: Database, tmp_path: Path
) -> None:
    folder = project(
        tmp_path,
        first="set search_path = auth; set role anon;",
        second="create table where_am_i (id int)",
    )
    empty_database.prepare(folder)
    schema = ask(
        empty_database.dsn(), b"select schemaname from pg_tables where tablename = 'where_am_i'"
    )
    assert schema == [("public",)]


def test_a_changed_migration_is_told(
    empty_database: Database, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = project(tmp_path, first="create table a (id int)")
    empty_database.prepare(folder)
    project(tmp_path, first="create table a (id bigint)")
    with caplog.at_level(logging.WARNING):
        empty_database.prepare(folder)
    assert "start afresh file=20260101000001_first.sql" in caplog.text


def test_a_file_with_another_kind_of_name_is_refused(
    empty_database: Database, tmp_path: Path
) -> None:
    folder = project(tmp_path)
    (folder / "tables.sql").write_text("select 1")
    with pytest.raises(migrations.MigrationFailed, match=r"tables\.sql: a migration is named"):
        empty_database.prepare(folder)
