"""An emulated REST API over a small schema of its own, and the official client for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import psycopg
import pytest
from supabase import Client, ClientOptions, create_client

from emulator import rest
from emulator.database import Database
from emulator.identity import Keys
from emulator.postgres import Postgres
from emulator.running import Emulator

SCHEMA = Path(__file__).with_name("schema.sql")
ROWS = Path(__file__).with_name("rows.sql").read_text()
USER = "11111111-1111-1111-1111-111111111111"


@dataclass(frozen=True)
class Served:
    """A database with its REST API on a socket."""

    url: str
    keys: Keys
    database: Database

    def sql(self, statement: str, user: str = "postgres") -> list[tuple[object, ...]]:
        """Run a statement, as the owner of the tables unless told otherwise."""
        with psycopg.connect(self.database.dsn(user), autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []


@pytest.fixture(scope="session")
def serving(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Only REST is served: the other parts have tests of their own."""
    directory = tmp_path_factory.mktemp("rest")
    (directory / "20260101000000_schema.sql").write_text(SCHEMA.read_text())
    database = Database(postgres, "postgres").create("rest")
    database.prepare(directory)
    with Emulator.running(database, mounts=(rest.mount,)) as emulator:
        yield Served(emulator.url, emulator.keys, database)
    database.drop()


@pytest.fixture
def served(serving: Served) -> Served:
    """The API with the rows of rows.sql in its tables."""
    serving.sql(ROWS)
    return serving


@pytest.fixture
def http(served: Served) -> Iterator[httpx.Client]:
    """A plain client with the secret key, for what the official client does not show."""
    headers = {"apikey": served.keys.secret}
    url = f"{served.url}/rest/v1"
    with httpx.Client(base_url=url, headers=headers, verify=False, timeout=60) as client:  # noqa: S501 no TLS
        yield client


@pytest.fixture
def client_of(served: Served) -> Iterator[Callable[..., Client]]:
    """Makes official clients: with a key, and perhaps with a user's token."""
    with ExitStack() as stack:

        def make(key: str, token: str | None = None) -> Client:
            transport = stack.enter_context(httpx.Client(verify=False, timeout=60))  # noqa: S501 no TLS
            options = ClientOptions(httpx_client=transport, postgrest_client_timeout=30)
            if token is not None:
                options.headers = {**options.headers, "Authorization": f"Bearer {token}"}
            return create_client(served.url, key, options)

        yield make


@pytest.fixture
def service(served: Served, client_of: Callable[..., Client]) -> Client:
    """The official client with the secret key."""
    return client_of(served.keys.secret)


@pytest.fixture
def anon(served: Served, client_of: Callable[..., Client]) -> Client:
    """The official client with the publishable key."""
    return client_of(served.keys.publishable)


@pytest.fixture
def user(served: Served, client_of: Callable[..., Client]) -> Client:
    """The official client with the token of USER."""
    return client_of(served.keys.publishable, served.keys.mint("authenticated", subject=USER))
