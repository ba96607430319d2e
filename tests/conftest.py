"""Servers and databases for tests: a server for each xdist worker, a database for each test.

`database` is a fresh database with the project's schema (without the seed rows), about 50 ms:
`psycopg.connect(database.dsn("postgres"))`. Users: postgres (owner), authenticator (what REST
uses), supabase_admin (superuser). `database_15` is the same on Debian's PostgreSQL 15, skipped
where that is not installed; `each_database` runs the test on both. `empty_database` has no schema.
`emulator` serves `database` over HTTP in this process, without imitated delays: `emulator.url`,
`.keys.publishable`, `.keys.mint("authenticated", subject=...)`, `.dsn("postgres")`.
`postgres`, `postgres_15` are the servers (`emulator.postgres.Postgres`), for `kill()` and the like:
who disturbs one must wait until it is back.
"""

from __future__ import annotations

import itertools
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest

from emulator import account, launch, migrations
from emulator.database import Database
from emulator.postgres import Postgres
from emulator.running import Emulator
from tests.emulator.realtime.transcript_summary import pytest_terminal_summary

__all__ = ["pytest_terminal_summary"]  # a hook, found here by the process that runs the workers

# Time tells nothing about a property on a machine that does other things as well.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")

POSTGRES_15 = Path("/usr/lib/postgresql/15/bin")
NUMBERS = itertools.count(1)


def make_private_directory() -> Path:
    """A new directory that the user who runs PostgreSQL can reach: pytest's are closed to it."""
    directory = Path(tempfile.mkdtemp(prefix="hr-test-"))
    account.make_private(directory, account.unprivileged())
    return directory


def run_server(pg_bin: Path | None) -> Iterator[Postgres]:
    directory = make_private_directory()
    server = launch.server(directory, pg_bin=pg_bin, parameters=launch.FAST)
    server.start()
    yield server
    server.stop()
    shutil.rmtree(directory)


def make_template(server: Postgres, directory: Path) -> Database:
    migrated = directory / "migrations"
    shutil.copytree(migrations.PROJECT / "migrations", migrated)  # no seed.sql beside it
    template = Database(server, "postgres").create("template_project")
    template.prepare(migrated)
    return template


def clone(template: Database) -> Iterator[Database]:
    database = template.clone(f"test_{next(NUMBERS)}")
    yield database
    database.drop()


@pytest.fixture(scope="session")
def private_directory() -> Callable[[], Path]:
    """Makes directories for servers of a test's own, which the test removes."""
    return make_private_directory


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    yield from run_server(None)


@pytest.fixture(scope="session")
def postgres_15() -> Iterator[Postgres]:
    if not POSTGRES_15.is_dir():
        pytest.skip(f"PostgreSQL 15 is not installed in {POSTGRES_15}")
    yield from run_server(POSTGRES_15)


@pytest.fixture(scope="session")
def template(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Database:
    return make_template(postgres, tmp_path_factory.mktemp("schema"))


@pytest.fixture(scope="session")
def template_15(postgres_15: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Database:
    return make_template(postgres_15, tmp_path_factory.mktemp("schema_15"))


@pytest.fixture
def database(template: Database) -> Iterator[Database]:
    yield from clone(template)


@pytest.fixture
def emulator(database: Database) -> Iterator[Emulator]:
    with Emulator.running(database) as emulator:
        yield emulator


@pytest.fixture
def database_15(template_15: Database) -> Iterator[Database]:
    yield from clone(template_15)


@pytest.fixture(params=["database", "database_15"])
def each_database(request: pytest.FixtureRequest) -> Database:
    found: Database = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def empty_database(postgres: Postgres) -> Iterator[Database]:
    database = Database(postgres, "postgres").create(f"empty_{next(NUMBERS)}")
    yield database
    database.drop()
