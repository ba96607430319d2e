"""Every test here runs on PostgreSQL 18 (the wheel's) and on PostgreSQL 15 (Debian's)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import LiteralString
from uuid import uuid4

import pytest

import emulator.database
from tests.supabase import servers
from tests.supabase.calls import Worker
from tests.supabase.servers import Database

needs_debian = pytest.mark.skipif(
    not servers.DEBIAN.is_dir(), reason=f"PostgreSQL 15 is not installed in {servers.DEBIAN}"
)
VERSIONS = [
    pytest.param(18, id="postgres18"),
    pytest.param(15, id="postgres15", marks=needs_debian),
]


@pytest.fixture(scope="session", params=VERSIONS)
def version(request: pytest.FixtureRequest) -> int:
    """The major version that a test runs on."""
    number: int = request.param
    return number


@pytest.fixture(scope="session")
def migrated(version: int, request: pytest.FixtureRequest) -> emulator.database.Database:
    """The database with the schema and without rows that the others are copied from."""
    name = "template" if version == 18 else "template_15"
    template: emulator.database.Database = request.getfixturevalue(name)
    return template


@pytest.fixture(scope="session")
def _reused(migrated: emulator.database.Database) -> Iterator[Database]:
    with servers.opened(migrated.clone(servers.fresh_name())) as database:
        yield database


@pytest.fixture
def database(_reused: Database) -> Iterator[Database]:
    """The migrated schema without a row, for one test."""
    servers.clear(_reused)
    yield _reused
    _reused.close()


@pytest.fixture(scope="module")
def shared(migrated: emulator.database.Database) -> Iterator[Database]:
    """The migrated schema for tests of one module that do not mind each other's rows."""
    with servers.opened(migrated.clone(servers.fresh_name())) as database:
        yield database


@pytest.fixture(scope="module")
def bare(migrated: emulator.database.Database) -> Iterator[Database]:
    """A database with nothing in it, on a server that has the roles."""
    made = emulator.database.Database(migrated.server, "").create(servers.fresh_name())
    with servers.opened(made) as database:
        yield database


TABLES: tuple[LiteralString, ...] = (
    "events_normalized",
    "hotspots",
    "detectors",
    "detector_keys",
    "detector_inputs",
    "notices",
    "rebuilds",
    "batches",
    "scans",
)


@pytest.fixture
def worker(shared: Database) -> Iterator[Worker]:
    """Holds the lease of a database without events, episodes and detectors."""
    with shared.connect("service_role") as connection:
        for table in TABLES:
            connection.execute(f"delete from public.{table}")  # noqa: S608
        connection.execute("update public.leases set holder = null, until = '-infinity'")
        worker = Worker(connection, str(uuid4()))
        worker.start()
        yield worker
