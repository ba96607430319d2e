"""Every test here runs on PostgreSQL 18 (the wheel's) and on PostgreSQL 15 (Debian's)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from emulator.postgres import Postgres
from tests.supabase import servers
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
def server(version: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """A server whose template database holds the migrated schema."""
    with servers.running(version) as running:
        servers.make_template(running, tmp_path_factory.mktemp("template"))
        yield running


@pytest.fixture(scope="session")
def _reused(server: Postgres) -> Iterator[Database]:
    with servers.fresh(server) as fresh:
        yield fresh


@pytest.fixture
def database(_reused: Database) -> Iterator[Database]:
    """The migrated schema without a row, for one test."""
    servers.clear(_reused)
    yield _reused
    _reused.close()


@pytest.fixture(scope="module")
def shared(server: Postgres) -> Iterator[Database]:
    """The migrated schema for tests of one module that do not mind each other's rows."""
    with servers.fresh(server) as fresh:
        yield fresh
