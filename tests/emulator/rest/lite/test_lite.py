"""The same requests to the emulator and to `@supabase/lite`, on one database.

What differs is listed in differences.toml with the reason; anything else that differs fails, and
so does a listed difference that is none any more.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from emulator import rest, sql_text
from emulator.database import Database
from emulator.identity import Keys
from emulator.postgres import Postgres
from emulator.running import Emulator
from tests.emulator.rest.conftest import ROWS, SCHEMA, USER
from tests.emulator.rest.lite import exchange
from tests.emulator.rest.lite.exchange import Answer, Exchange
from tests.node import install, node

HERE = Path(__file__).parent
REQUESTS = list(exchange.read((HERE / "requests.txt").read_text()))
DIFFERENCES = HERE / "differences.toml"
READY_SECONDS = 20
LEFT_BEHIND = """
select coalesce(json_agg(p order by p.id), '[]') from
  (select id % 1000 as id, name, owner, mood, tags, doc, level from public.plants) p
union all select coalesce(json_agg(p order by plant, number), '[]') from public.parts p
union all select coalesce(json_agg(k order by n), '[]') from public.keyless k
"""


class Side:
    """One implementation on the common database."""

    def __init__(self, http: httpx.Client, keys: Keys) -> None:
        self._http = http
        publishable = {"apikey": keys.publishable}

        def bearer(signed_by: Keys, seconds: int = 3600) -> Mapping[str, str]:
            token = signed_by.mint(
                "authenticated", subject=USER, seconds=seconds, algorithm="HS256"
            )
            return {**publishable, "Authorization": f"Bearer {token}"}

        self._credentials: Mapping[str, Mapping[str, str]] = {
            "service": {"apikey": keys.secret},
            "anon": publishable,
            "user": bearer(keys),
            "expired": bearer(keys, -60),
            "forged": bearer(Keys.generate()),
            "nobody": {},
        }

    def answer(self, request: Exchange, connection: psycopg.Connection) -> Answer:
        """What it answers to `request` when the tables are as rows.sql leaves them."""
        connection.execute(ROWS.encode())
        response = request.send(self._http, self._credentials[request.role])
        if not request.writes:
            return Answer.of(response, [])
        return Answer.of(response, [row for (row,) in connection.execute(LEFT_BEHIND.encode())])


@contextmanager
def lite(database: Database, keys: Keys) -> Iterator[str]:
    """The other implementation in a process of its own; its address."""
    install(HERE)
    place = conninfo_to_dict(database.dsn("supabase_admin"))
    settings = {
        "host": place["host"],
        "port": int(place["port"] or 5432),
        "user": place["user"],
        "database": place["dbname"],
        "publishable": keys.publishable,
        "secret": keys.secret,
        "jwtSecret": keys.jwt_secret,
    }
    process = subprocess.Popen(
        [node(), str(HERE / "serve.mjs"), json.dumps(settings)],
        env={"LITE_TELEMETRY": "0", "DO_NOT_TRACK": "1", "NODE_ENV": "production"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}/rest/v1"
        finally:
            assert process.stdin is not None
            process.stdin.close()
            process.wait(READY_SECONDS)


def take_back_its_grants(http: httpx.Client, keys: Keys, connection: psycopg.Connection) -> None:
    """lite begins by granting all tables to everybody; here the schema's own grants hold."""
    assert http.get("/plants", headers={"apikey": keys.secret}).status_code == 200
    for kind in ("tables", "routines", "sequences"):
        roles = "anon, authenticated, service_role"
        connection.execute(f"revoke all on all {kind} in schema public from {roles}".encode())
    for statement in sql_text.split(SCHEMA.read_text()):
        if statement.text.startswith(("grant", "revoke")):
            connection.execute(statement.text.encode())


def compared(database: Database) -> dict[str, set[str]]:
    """For each request what differs."""
    with ExitStack() as stack:
        emulator = stack.enter_context(Emulator.running(database, mounts=(rest.mount,)))
        address = stack.enter_context(lite(database, emulator.keys))
        connection = stack.enter_context(psycopg.connect(database.dsn(), autocommit=True))
        mine, yours = (
            stack.enter_context(client(url)) for url in (f"{emulator.url}/rest/v1", address)
        )
        take_back_its_grants(yours, emulator.keys, connection)
        ours, theirs = Side(mine, emulator.keys), Side(yours, emulator.keys)
        found = {}
        for request in REQUESTS:
            answer = ours.answer(request, connection)
            found[request.line] = answer.differs(theirs.answer(request, connection))
        return found


def client(url: str) -> httpx.Client:
    return httpx.Client(base_url=url, timeout=30, trust_env=False, headers={"Accept": "*/*"})


def known() -> dict[str, set[str]]:
    listed: dict[str, set[str]] = {}
    content: dict[str, Any] = tomllib.loads(DIFFERENCES.read_text())
    for difference in content["difference"]:
        assert difference["reason"], "each difference has one"
        for line in difference["requests"]:
            listed.setdefault(line, set()).update(difference["differs"])
    return listed


@pytest.fixture
def common(postgres: Postgres, tmp_path: Path) -> Iterator[Database]:
    (tmp_path / "20260101000000_schema.sql").write_text(SCHEMA.read_text())
    database = Database(postgres, "postgres").create("rest_lite")
    database.prepare(tmp_path)
    yield database
    database.drop()


@pytest.mark.timeout(300)  # a first run installs 150 MB
def test_answers_are_those_of_another_implementation_but_for_listed_differences(
    common: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    node()
    found = compared(common)
    differing = {line: aspects for line, aspects in found.items() if aspects}
    with capsys.disabled():
        equal = len(found) - len(differing)
        counts = f"compared {len(found)}, equal {equal}, known differences {len(differing)}"
        sys.stdout.write(f"\n{counts}\n")
    assert len(found) == len(REQUESTS) >= 380, "no line is there twice"
    assert differing == known()
