"""One data directory in use: lock, keys, server and schema, in that order, and back."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import psycopg
from psycopg import sql

from emulator import cluster, keys_file, launch
from emulator.database import Database
from emulator.identity import Keys
from emulator.settings import Settings

KEYS = "keys.json"
URL = "url"  # where the project was served last: its name in the tokens that it issues
MAIN = "postgres"  # the database's name on hosted projects


class InUse(Exception):
    """Another emulator has the data directory."""


@contextlib.contextmanager
def opened(
    data: Path, settings: Settings, *, migrations: Path, tcp_port: int | None, seed: bool = True
) -> Iterator[tuple[Database, Keys]]:
    """The project in `data`, made if need be, migrated, with its server running in the block.

    Raises InUse, KeysUnreadable, MigrationFailed and what `launch.server` and `start` raise.
    """
    data.mkdir(parents=True, exist_ok=True)
    with locked(data):
        keys = keys_file.load_or_create(data / KEYS)
        server = launch.server(data, pg_bin=settings.pg_bin, tcp_port=tcp_port)
        try:
            server.start()
            database = Database(server, MAIN)
            database.prepare(migrations, seed=seed)
            if tcp_port:
                set_password(database, keys.database_password)
            yield database, keys
        finally:
            server.stop()


@contextlib.contextmanager
def locked(data: Path) -> Iterator[None]:
    """Hold `data` alone; the system lets go of it when the process dies. Raises InUse."""
    descriptor = os.open(data / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            holder = os.read(descriptor, 32).decode(errors="replace").strip()
            raise InUse(
                f"{data} is in use by another emulator (process {holder or 'unknown'});"
                " stop it or choose another --data"
            ) from exc
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        yield
    finally:
        os.close(descriptor)


def set_password(database: Database, password: str) -> None:
    """Let user postgres in over TCP with `password`, which the server only gets hashed."""
    with psycopg.connect(database.dsn(cluster.SUPERUSER), autocommit=True) as connection:
        hashed = connection.pgconn.encrypt_password(
            password.encode(), b"postgres", b"scram-sha-256"
        ).decode()
        statement = sql.SQL("alter role postgres password {}")
        connection.execute(statement.format(sql.Literal(hashed)))
