"""The PostgreSQL servers of a run: the one that is used, its standby, and the one after a restore.

All methods block. Each server has a directory of its own, removed when the next one took over.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import LiteralString

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from emulator import account, cluster, launch, migrations
from emulator.database import Database
from emulator.postgres import Postgres

DATABASE = "postgres"
PARAMETERS = {**launch.FAST, "max_wal_size": "256MB", "wal_keep_size": "64MB"}
STANDBY: LiteralString = "chaos_standby"
OF_STANDBY: LiteralString = f"from pg_stat_replication where application_name = '{STANDBY}'"
WAIT_SECONDS = 30.0
PROGRAM_SECONDS = 60.0

# One row for each transaction of the writers: whether it was committed can be asked afterwards.
MARKERS: LiteralString = """
create schema if not exists chaos;
create table if not exists chaos.markers (id bigint primary key);
"""


class Servers:
    """`current` is in use; `data` is its directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._migrations = directory / "migrations"  # no seed.sql beside it
        shutil.copytree(migrations.PROJECT / "migrations", self._migrations)
        self.data = self._fresh()
        self.current = launch.server(self.data, parameters=PARAMETERS)

    def start(self) -> None:
        """Start the first one, with the project's schema and no rows."""
        self.current.start()
        self._prepare(self.current)

    def stop(self) -> None:
        """Stop the one in use."""
        self.current.stop()

    def start_again(self) -> None:
        """Start the one in use after `stop`, which took the directory of its socket with it."""
        account.make_private(self.current.places.sockets, self.current.account)
        self.current.start()

    def dsn(self, user: str = "postgres") -> str:
        """How to connect to the one in use."""
        return self.current.dsn(user, DATABASE)

    def admin(self) -> psycopg.Connection:
        """A superuser's connection in autocommit mode."""
        return psycopg.connect(self.dsn(cluster.SUPERUSER), autocommit=True)

    def restore(self) -> None:
        """Dump the rows, stop the server, and restore them into a new cluster, then `restamp`."""
        dump = Path(tempfile.mkdtemp(dir="/tmp", prefix="hr-dump-")) / "rows"
        account.make_private(dump.parent, self.current.account)
        try:
            self._run(
                self.current,
                "pg_dump",
                *("--data-only", "--schema=public", "--format=custom", f"--file={dump}"),
                f"--dbname={self.dsn(cluster.SUPERUSER)}",
            )
            old, former = self.current, self.data
            self.data = self._fresh()
            self.current = launch.server(self.data, parameters=PARAMETERS)
            self.current.start()
            self._prepare(self.current)
            self._empty()
            self._run(
                self.current,
                "pg_restore",
                *("--data-only", "--disable-triggers", f"--dbname={self.dsn(cluster.SUPERUSER)}"),
                str(dump),
            )
            with self.admin() as connection:
                connection.execute("select public.restamp()")
            old.stop()
            shutil.rmtree(former)
        finally:
            shutil.rmtree(dump.parent)

    def make_standby(self) -> tuple[Path, Postgres]:
        """A standby that has everything whose commit the server in use reports from now on."""
        data, origin = self._fresh(), self.current.dsn(cluster.SUPERUSER)
        places = cluster.choose(data, self.current.account)
        self._run(
            self.current,
            "pg_basebackup",
            *("--write-recovery-conf", "--wal-method=stream", "--checkpoint=fast", "--no-sync"),
            f"--pgdata={places.cluster}",
            f"--dbname={make_conninfo(origin, application_name=STANDBY)}",
        )
        standby = launch.server(data, parameters=PARAMETERS)
        standby.start()
        with self.admin() as connection:
            self._await(connection, f"select state = 'streaming' {OF_STANDBY}")
            # By name: those who stream changes out of the server would do as well otherwise.
            connection.execute(f"alter system set synchronous_standby_names = '{STANDBY}'")
            connection.execute("select pg_reload_conf()")
            self._await(connection, f"select sync_state = 'sync' {OF_STANDBY}")
        return data, standby

    def lose_standby(self) -> None:
        """From now on every commit waits for a standby that is not there."""
        with self.admin() as connection:
            connection.execute("alter system set synchronous_standby_names = 'absent'")
            connection.execute("select pg_reload_conf()")

    def waiting_commits(self) -> int:
        """How many transactions are committed in the log and not visible."""
        with self.admin() as connection:
            row = connection.execute(
                "select count(*) from pg_stat_activity where wait_event = 'SyncRep'"
            ).fetchone()
        return 0 if row is None else int(row[0])

    def need_no_standby(self) -> None:
        """Commits end again."""
        with self.admin() as connection:
            connection.execute("alter system reset synchronous_standby_names")
            connection.execute("select pg_reload_conf()")

    def promote(self, data: Path, standby: Postgres) -> None:
        """Stop the server in use and go on with its standby, on a new timeline."""
        self.current.stop()
        former, self.data, self.current = self.data, data, standby
        with self.admin() as connection:
            connection.execute("select pg_promote()")
            self._await(connection, "select not pg_is_in_recovery()")
            connection.execute("alter system reset all")
            connection.execute("select pg_reload_conf()")
        shutil.rmtree(former)

    def _empty(self) -> None:
        """Take away the rows that the migrations themselves add: the dump has them too."""
        with self.admin() as connection:
            connection.execute("set session_replication_role = replica")  # truncate is refused
            found = connection.execute("select tablename from pg_tables where schemaname='public'")
            tables = sql.SQL(", ").join(sql.Identifier("public", name) for (name,) in found)
            connection.execute(sql.SQL("truncate {}").format(tables))

    def _fresh(self) -> Path:
        data = Path(tempfile.mkdtemp(dir=self._directory, prefix="server-"))
        account.make_private(data, account.unprivileged())
        return data

    def _prepare(self, server: Postgres) -> None:
        Database(server, DATABASE).prepare(self._migrations)
        with psycopg.connect(server.dsn("postgres", DATABASE), autocommit=True) as connection:
            connection.execute(MARKERS)

    def _run(self, server: Postgres, program: str, *arguments: str) -> None:
        result = subprocess.run(
            [str(server.binaries.directory / program), *arguments],
            cwd="/",
            env=cluster.ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PROGRAM_SECONDS,
            **account.drop(server.account),
        )
        if result.returncode != 0:
            raise RuntimeError(f"{program} failed:\n{result.stdout}")

    def _await(self, connection: psycopg.Connection, question: LiteralString) -> None:
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            row = connection.execute(sql.SQL(question)).fetchone()
            if row is not None and row[0]:
                return
            if time.monotonic() > deadline:
                raise RuntimeError(f"not within {WAIT_SECONDS:g} s: {question}")
            time.sleep(0.02)
