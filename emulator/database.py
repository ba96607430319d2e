"""One database of the server, made like a hosted project's."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql

from emulator import cluster, migrations, postgres


@dataclass(frozen=True)
class Database:
    """A database by name, and how to connect to it."""

    server: postgres.Postgres
    name: str

    def dsn(self, user: str = "postgres") -> str:
        """Connection string for `user`: postgres, authenticator or supabase_admin."""
        return self.server.dsn(user, self.name)

    def prepare(self, directory: Path, *, seed: bool = True) -> list[str]:
        """Bootstrap, migrate and, with `seed`, add sample rows; versions applied.

        Raises MigrationFailed.
        """
        migrations.bootstrap(self.dsn(cluster.SUPERUSER))
        return migrations.migrate(self.dsn("postgres"), directory, seed=seed)

    def clone(self, name: str) -> Database:
        """Copy this database, to which there must be no connection."""
        return self._create(name, template=self.name)

    def create(self, name: str) -> Database:
        """A new database with nothing in it."""
        return self._create(name, template="template0")

    def drop(self) -> None:
        """Remove it, whoever is connected, with its replication slots."""
        with self._admin() as connection:
            connection.execute(
                "select pg_terminate_backend(active_pid, 5000) from pg_replication_slots"
                " where database = %s and active",
                (self.name,),
            )
            self._drop_slots(connection)
            statement = sql.SQL("drop database {} with (force)")
            connection.execute(statement.format(sql.Identifier(self.name)))

    def _drop_slots(self, connection: psycopg.Connection) -> None:
        connection.execute(
            "select pg_drop_replication_slot(slot_name) from pg_replication_slots"
            " where database = %s and not active",
            (self.name,),
        )

    def _create(self, name: str, *, template: str) -> Database:
        statement = sql.SQL("create database {} template {}")
        with self._admin() as connection:
            connection.execute(statement.format(sql.Identifier(name), sql.Identifier(template)))
            owner = sql.SQL("alter database {} owner to postgres")
            if _exists(connection, "postgres"):
                connection.execute(owner.format(sql.Identifier(name)))
        return Database(self.server, name)

    def _admin(self) -> psycopg.Connection:
        return psycopg.connect(self.server.dsn(cluster.SUPERUSER, "template1"), autocommit=True)


def _exists(connection: psycopg.Connection, role: str) -> bool:
    found = connection.execute("select from pg_roles where rolname = %s", (role,))
    return found.rowcount > 0
