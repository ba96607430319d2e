"""Brings a database to the project's schema, with the bookkeeping of the Supabase CLI."""

from __future__ import annotations

import hashlib
import logging
import re
from dataclasses import dataclass
from pathlib import Path
from typing import LiteralString

import psycopg

from emulator import sql_text

logger = logging.getLogger(__name__)

HERE = Path(__file__).parent
PARTITIONS = HERE / "partitions.sql"
BOOTSTRAP = (
    HERE / "bootstrap.sql",
    HERE / "auth.sql",
    HERE / "broadcast.sql",
    PARTITIONS,
    HERE / "reload.sql",
)
# Beside the packages in a checkout; a wheel has it inside of this one, since beside them lies the
# library of that name.
PROJECT = next(
    folder for folder in (HERE / "supabase", HERE.parent / "supabase") if folder.is_dir()
)
FILE_NAME = re.compile(r"(?P<version>\d+)_(?P<name>.+)\.sql")

BOOKS: LiteralString = """
create schema if not exists supabase_migrations;
create table if not exists supabase_migrations.schema_migrations (
  version text primary key, statements text[], name text
);
create table if not exists supabase_migrations.seed_files (
  path text primary key, hash text not null
);
"""


class MigrationFailed(Exception):
    """A file was refused by the database; the message names the file and the line."""


@dataclass(frozen=True)
class Migration:
    """One file of `supabase/migrations`."""

    path: Path
    version: str
    name: str


def bootstrap(dsn: str) -> None:
    """Give the database what every hosted project has. `dsn` is a superuser's."""
    with psycopg.connect(dsn, autocommit=True) as connection, connection.transaction():
        connection.execute("set local client_min_messages = warning")
        for path in BOOTSTRAP:
            connection.execute(path.read_bytes())


def migrate(dsn: str, directory: Path, *, seed: bool = True) -> list[str]:
    """Apply the files of `directory` that are not applied yet; their versions.

    Each runs in one transaction as the user of `dsn`. With `seed`, `seed.sql` beside the directory
    follows once in a database's life. Raises MigrationFailed; what was applied before stays.
    """
    found = _find(directory)
    with psycopg.connect(dsn, autocommit=True, prepare_threshold=None) as connection:
        with connection.transaction():
            connection.execute("set local client_min_messages = warning")
            connection.execute(BOOKS)
        done = _applied(connection)
        fresh = [migration for migration in found if migration.version not in done]
        for migration in found:
            if migration.version in done:
                _compare(migration, done[migration.version])
        for version in sorted(done.keys() - {migration.version for migration in found}):
            logger.warning(
                "applied migration has no file version=%s directory=%s", version, directory
            )
        for migration in fresh:
            _apply(connection, migration)
        if seed:
            _seed(connection, directory.parent / "seed.sql")
    return [migration.version for migration in fresh]


def _find(directory: Path) -> list[Migration]:
    if not directory.is_dir():
        raise MigrationFailed(f"{directory} is not a directory; name one with --migrations")
    migrations = []
    for path in sorted(directory.glob("*.sql")):
        match = FILE_NAME.fullmatch(path.name)
        if match is None:
            raise MigrationFailed(f"{path}: a migration is named <UTC stamp>_<name>.sql")
        migrations.append(Migration(path, match["version"], match["name"]))
    return migrations


def _applied(connection: psycopg.Connection) -> dict[str, list[str] | None]:
    rows = connection.execute(
        "select version, statements from supabase_migrations.schema_migrations"
    )
    return dict(rows)


def _compare(migration: Migration, applied: list[str] | None) -> None:
    if applied is None:
        return
    now = [statement.text for statement in sql_text.split(migration.path.read_text())]
    # The CLI keeps the comments before a statement.
    then = [statement.text for text in applied for statement in sql_text.split(text)]
    if then != now:
        logger.warning(
            "migration changed since it was applied; remove the data directory to start afresh"
            " file=%s",
            migration.path.name,
        )


def _apply(connection: psycopg.Connection, migration: Migration) -> None:
    with connection.transaction():
        statements = _run(connection, migration.path)
        connection.execute("reset role")
        connection.execute(
            "insert into supabase_migrations.schema_migrations (version, name, statements)"
            " values (%s, %s, %s)",
            (migration.version, migration.name, statements),
        )
    # What a file sets for its session must not reach the next one.
    connection.execute("discard all")


def _seed(connection: psycopg.Connection, path: Path) -> None:
    if not path.exists():
        return
    name = f"{path.parent.name}/{path.name}"
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    with connection.transaction():
        added = connection.execute(
            "insert into supabase_migrations.seed_files (path, hash) values (%s, %s)"
            " on conflict do nothing",
            (name, digest),
        )
        if added.rowcount:
            _run(connection, path)


def _run(connection: psycopg.Connection, path: Path) -> list[str]:
    statements = sql_text.split(path.read_text())
    for statement in statements:
        try:
            connection.execute(statement.text.encode())
        except psycopg.Error as exc:
            raise MigrationFailed(_explain(path, statement, exc)) from exc
    return [statement.text for statement in statements]


def _explain(path: Path, statement: sql_text.Statement, error: psycopg.Error) -> str:
    diagnosis, line = error.diag, statement.line
    if diagnosis.statement_position:
        line += statement.text.count("\n", 0, int(diagnosis.statement_position) - 1)
    parts = [f"{path}:{line}: {diagnosis.message_primary or error} ({error.sqlstate})"]
    details = [("detail", diagnosis.message_detail), ("hint", diagnosis.message_hint)]
    parts += [f"  {label}: {text}" for label, text in details if text]
    return "\n".join(parts)
