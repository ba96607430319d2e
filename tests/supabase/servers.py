"""PostgreSQL servers and databases for the schema's tests."""

from __future__ import annotations

import contextlib
import json
import secrets
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, LiteralString

import psycopg
from psycopg import sql
from psycopg.rows import DictRow, dict_row

import emulator.database
from emulator import cluster, launch
from emulator.account import make_private, unprivileged
from emulator.postgres import Postgres

DEBIAN = Path("/usr/lib/postgresql/15/bin")
PROJECT = Path(__file__).parents[2] / "supabase"
# What projects made before 2026 do to each new table, sequence and function.
OLD_DEFAULTS: LiteralString = """
    alter default privileges for role postgres in schema public
      grant all on tables to anon, authenticated, service_role;
    alter default privileges for role postgres in schema public
      grant all on sequences to anon, authenticated, service_role;
    alter default privileges for role postgres in schema public
      grant all on functions to anon, authenticated, service_role;
    create publication supabase_realtime;
"""

# Roles as a project has them that was not made by the emulator, and that has no login for REST.
ROLES: LiteralString = """
    create role anon nologin;
    create role authenticated nologin;
    create role service_role nologin bypassrls;
    create role postgres login createdb createrole replication bypassrls password 'local-test';
    alter database postgres owner to postgres;
"""

Connection = psycopg.Connection[DictRow]


@dataclass
class Database:
    """One database of a running server; closes the connections that were opened through it."""

    server: Postgres
    name: str
    _opened: list[Connection] = field(default_factory=list, init=False)

    def dsn(self, user: str = "postgres") -> str:
        """Connection string for `user`."""
        return self.server.dsn(user, self.name)

    def connect(
        self,
        role: str | None = None,
        claims: Mapping[str, Any] | None = None,
        *,
        user: str = "postgres",
    ) -> Connection:
        """A connection in autocommit mode that acts as `role` with `claims`, as REST would."""
        connection = psycopg.connect(self.dsn(user), autocommit=True, row_factory=dict_row)
        self._opened.append(connection)
        if role is not None:
            connection.execute(sql.SQL("set role {}").format(sql.Identifier(role)))
        if claims is not None:
            connection.execute(
                "select set_config('request.jwt.claims', %s, false)", (json.dumps(claims),)
            )
        return connection

    def close(self) -> None:
        """Close every connection that `connect` gave out."""
        for connection in self._opened:
            connection.close()
        self._opened.clear()


@contextlib.contextmanager
def running(version: int, tcp_port: int | None = None) -> Iterator[Postgres]:
    """A fresh server of a major version, gone at the end with all that it wrote."""
    directory = Path(tempfile.mkdtemp(prefix="hr-test-"))
    make_private(directory, unprivileged())
    try:
        pg_bin = DEBIAN if version == 15 else None
        server = launch.server(directory, pg_bin=pg_bin, tcp_port=tcp_port, parameters=launch.FAST)
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(directory)


def start_again(server: Postgres) -> None:
    """Start a server that was stopped, which took the directory of its socket with it."""
    make_private(server.places.sockets, server.account)
    server.start()


@contextlib.contextmanager
def opened(made: emulator.database.Database) -> Iterator[Database]:
    """A database that was made for us, dropped at the end."""
    database = Database(made.server, made.name)
    try:
        yield database
    finally:
        database.close()
        made.drop()


def fresh_name() -> str:
    """A name that no other database of a server has."""
    return f"schema_{secrets.token_hex(6)}"


def clear(database: Database) -> None:
    """Make the database as if it had just been migrated; several times faster than a new one."""
    database.close()
    with psycopg.connect(database.dsn(cluster.SUPERUSER), autocommit=True) as connection:
        left = connection.execute(
            "select gid from pg_prepared_xacts where database = current_database()"
        )
        for (name,) in left.fetchall():
            connection.execute(sql.SQL("rollback prepared {}").format(sql.Literal(name)))
        connection.execute(
            "select pg_terminate_backend(pid, 5000) from pg_stat_activity"
            " where datname = current_database() and pid <> pg_backend_pid()"
        )
        connection.execute("set session_replication_role = replica")  # truncate is refused
        tables = connection.execute("select tablename from pg_tables where schemaname = 'public'")
        names = sql.SQL(", ").join(sql.Identifier("public", name) for (name,) in tables)
        connection.execute(sql.SQL("truncate {} restart identity").format(names))
        connection.execute("insert into public.leases (name) values ('scan')")
        connection.execute("insert into public.retention default values")


def execute(server: Postgres, statement: sql.Composed | LiteralString) -> None:
    """Run one statement as the superuser, outside of every test's database."""
    with psycopg.connect(server.dsn(cluster.SUPERUSER), autocommit=True) as connection:
        connection.execute(statement)


def one(connection: Connection, query: LiteralString, *values: Any) -> Any:
    """The single value that `query` returns. Fails when it returns anything else."""
    rows = connection.execute(query, values).fetchall()
    assert len(rows) == 1
    (value,) = rows[0].values()
    return value
