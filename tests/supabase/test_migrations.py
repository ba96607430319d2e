"""The migrations and sample rows apply everywhere they have to, by every way they are applied."""

from __future__ import annotations

import logging
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

import emulator.database
from emulator import migrations, sql_text
from tests.supabase import access, servers
from tests.supabase.reader import fetch
from tests.supabase.servers import Connection, Database, one

CLI = "supabase@3.1.0"
INSTALL_SECONDS = 100
FILES = sorted((servers.PROJECT / "migrations").glob("*.sql"))


@pytest.fixture
def empty(migrated: emulator.database.Database) -> Iterator[Database]:
    """A database as the emulator makes it, before its first migration."""
    with servers.opened(migrated.create(servers.fresh_name())) as database:
        migrations.bootstrap(database.dsn("supabase_admin"))
        yield database


def applied(connection: Connection) -> list[str]:
    found = connection.execute(
        "select version from supabase_migrations.schema_migrations order by version"
    )
    return [row["version"] for row in found]


def test_migrations_and_sample_rows_apply_without_superuser_rights(empty: Database) -> None:
    versions = migrations.migrate(empty.dsn("postgres"), servers.PROJECT / "migrations")
    assert versions == [path.name.split("_")[0] for path in FILES]
    connection = empty.connect()
    assert one(connection, "select rolsuper from pg_roles where rolname = 'postgres'") is False
    owners = connection.execute(
        "select distinct tableowner from pg_tables where schemaname = 'public'"
    )
    assert owners.fetchall() == [{"tableowner": "postgres"}]
    assert migrations.migrate(empty.dsn("postgres"), servers.PROJECT / "migrations") == []


def test_sample_rows_are_one_open_and_one_past_episode(empty: Database) -> None:
    migrations.migrate(empty.dsn("postgres"), servers.PROJECT / "migrations")
    user = empty.connect("authenticated")
    shown = [row["record"] for row in fetch(user, None)["rows"]]
    assert {record["version"] for record in shown} == {1}
    assert sorted(record["status"] for record in shown if "severity" in record) == [
        "active",
        "resolved",
    ]
    assert sorted(record["acknowledged"] for record in shown if "level" in record) == [False, True]
    assert [record["status"] for record in shown if "action" in record] == ["pending"]


def test_statements_do_not_depend_on_a_transaction_or_a_session(empty: Database) -> None:
    """Some tools run a file statement by statement, each on its own."""
    dsn = empty.dsn("postgres")
    with psycopg.connect(dsn, autocommit=True, prepare_threshold=None) as connection:
        for path in FILES:
            for statement in sql_text.split(path.read_text()):
                connection.execute(statement.text.encode())
                connection.execute("discard all")
    assert fetch(empty.connect("authenticated"), None)["rows"] == []


def test_what_the_first_rule_held_open_is_closed_and_its_past_is_folded_anew(
    empty: Database, tmp_path: Path
) -> None:
    for path in FILES:
        if path.name < "20261129140000":
            shutil.copy(path, tmp_path)
    migrations.migrate(empty.dsn("postgres"), tmp_path)
    owner = empty.connect()
    owner.execute(
        "insert into public.events_normalized (event_type, supplier_id, timestamp)"
        " values ('factory', 'Foundry', now())"
    )
    owner.execute(
        "insert into public.predictions (event_id, model_version, factor_set, entity, entity_type,"
        " event_type, predicted_co2, estimated, in_range, hotspot)"
        " values (1, 'factors-1', 'factors-1', 'Foundry', 'supplier', 'factory', 1, false, true,"
        " true)"
    )
    owner.execute(
        "insert into public.hotspots (entity, entity_type, event_type, predicted_co2, baseline_co2,"
        " percent_above, severity) values ('Foundry', 'supplier', 'factory', 150, 100, 50, 'info')"
    )
    migrations.migrate(empty.dsn("postgres"), servers.PROJECT / "migrations")
    (row,) = owner.execute(
        "select * from public.hotspots where event_id is null and entity = 'Foundry'"
    ).fetchall()
    assert (row["status"], row["resolution"], row["excess_kg"]) == ("resolved", "superseded", 50)
    assert row["reason"].startswith("found by the former rule")
    found = owner.execute("select entity, event_type, state from public.rebuilds").fetchall()
    assert found == [{"entity": "Foundry", "event_type": "factory", "state": "queued"}]
    assert owner.execute("select * from public.detector_inputs").fetchall() == []


def test_the_past_of_sites_is_folded_anew_for_base_load_and_weather(
    empty: Database, tmp_path: Path
) -> None:
    for path in FILES:
        if path.name < "20261130093000":
            shutil.copy(path, tmp_path)
    migrations.migrate(empty.dsn("postgres"), tmp_path)
    owner = empty.connect()
    owner.execute(
        "insert into public.detector_keys (entity, entity_type, event_type, state)"
        " select 'Acme', 'supplier', kind, '{}'"
        " from unnest(array['factory', 'warehouse', 'logistics', 'delivery']) kind"
    )
    migrations.migrate(empty.dsn("postgres"), servers.PROJECT / "migrations")
    found = owner.execute("select event_type from public.rebuilds order by 1").fetchall()
    assert [row["event_type"] for row in found] == ["factory", "warehouse"]


@pytest.fixture(scope="session")
def npx(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The command that runs the Supabase CLI; fetched into a directory that git ignores."""
    program = shutil.which("npx")
    if program is None:
        pytest.skip("npm is not installed, so the Supabase CLI cannot run")
    command = [program, "--yes", CLI]
    home = tmp_path_factory.mktemp("home")
    try:
        result = run([*command, "--version"], home)
    except subprocess.TimeoutExpired:
        pytest.skip(f"npm did not bring {CLI} within {INSTALL_SECONDS} s")
    if result.returncode != 0:
        pytest.skip(f"npm cannot bring {CLI}: {result.stderr.strip()[-300:]}")
    return command


def run(command: list[str], home: Path) -> subprocess.CompletedProcess[str]:
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "DO_NOT_TRACK": "1",
        "npm_config_cache": str(servers.PROJECT.parent / "node_modules" / ".npm"),
    }
    return subprocess.run(
        command,
        cwd=home,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=INSTALL_SECONDS,
    )


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@pytest.mark.timeout(4 * INSTALL_SECONDS)
def test_the_supabase_cli_applies_them_to_an_older_project(
    npx: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copytree(servers.PROJECT, tmp_path / "supabase")
    with servers.running(18, tcp_port=free_port()) as server:
        servers.execute(server, servers.ROLES)
        database = Database(server, "postgres")
        connection = database.connect()
        connection.execute(servers.OLD_DEFAULTS)
        remote = f"--remote=postgresql://postgres:local-test@127.0.0.1:{server.port}/postgres"
        for arguments in (["migration", "up"], ["db", "push", "--include-seed"]):
            result = run([*npx, *arguments, f"{remote}?sslmode=disable", "--yes"], tmp_path)
            assert result.returncode == 0, result.stdout + result.stderr
        assert applied(connection) == [path.name.split("_")[0] for path in FILES]
        assert one(connection, "select count(*) from public.hotspots") == 2
        assert access.actual_tables(connection) == access.TABLES
        assert access.actual_functions(connection) == access.FUNCTIONS
        with caplog.at_level(logging.WARNING):  # our own books agree with the CLI's
            assert migrations.migrate(database.dsn(), tmp_path / "supabase" / "migrations") == []
        assert caplog.messages == []
        assert one(connection, "select count(*) from public.hotspots") == 2
        database.close()
