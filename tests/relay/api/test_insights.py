"""What the database sums up, over HTTP: the functions' own answers, and refusals that help."""

from collections.abc import Iterator
from typing import Any

import httpx
import psycopg
import pytest
from fastapi import FastAPI
from psycopg import sql
from psycopg.rows import scalar_row
from starlette.responses import HTMLResponse

from emulator.running import Emulator
from relay.api.user_client import UserClient
from tests.relay.serving import commands, serving

Database = psycopg.Connection[Any]


@pytest.fixture
def db(emulator: Emulator) -> Iterator[Database]:
    with psycopg.connect(emulator.dsn(), autocommit=True, row_factory=scalar_row) as connection:
        yield connection


def hotspot(db: Database) -> int:
    row = db.execute(
        "insert into hotspots (entity, entity_type, event_type, predicted_co2, baseline_co2,"
        " percent_above, severity) values ('Wärme & Söhne', 'supplier', 'factory', 15, 10, 50,"
        " 'warn') returning id"
    ).fetchone()
    assert row is not None
    return int(row)


@pytest.mark.parametrize(
    ("route", "call"),
    [
        ("emissions/summary", "emissions_summary()"),
        ("emissions/contributors?by=key&days=30", "emissions_contributors(30, null, 'key')"),
        ("emissions/trend?days=3", "emissions_trend(3)"),
        ("hotspots/{}/series?points=9", "hotspot_series({}, 9)"),
        ("hotspots/{}/history", "hotspot_history({})"),
        ("hotspots/sparks?ids={}", "hotspot_sparks(array[{}])"),
        ("waiting", "waiting()"),
    ],
)
async def test_a_route_gives_the_answer_of_its_function(
    client: httpx.AsyncClient, db: Database, route: str, call: str
) -> None:
    id = hotspot(db)
    reply = await client.get(route.format(id))
    assert (reply.status_code, reply.headers["content-type"]) == (200, "application/json")
    function = sql.SQL("select {}").format(sql.SQL(call.format(id)))
    assert reply.json() == db.execute(function).fetchone()
    assert reply.json() is not None


async def test_a_hotspot_that_is_not_there_is_not_found(client: httpx.AsyncClient) -> None:
    reply = await client.get("hotspots/77/series")
    assert (reply.status_code, reply.json()) == (404, {"detail": "hotspot 77 does not exist"})


async def test_a_page_in_the_place_of_an_answer_is_not_passed_on() -> None:
    app = FastAPI()
    app.add_api_route("/rest/v1/rpc/waiting", lambda: HTMLResponse("hello"), methods=["POST"])
    async with (
        serving(app) as host,
        UserClient(f"http://{host}", "key") as behalf,
        commands(behalf, "token") as client,
    ):
        reply = await client.get("waiting")
    assert reply.status_code == 502
    assert reply.json() == {"detail": "Supabase answered something that is not JSON"}
