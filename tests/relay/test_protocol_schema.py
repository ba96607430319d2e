"""What the relay sends is what the description of the protocol says, and says nothing else."""

import asyncio
import json
from pathlib import Path
from typing import Any

import jsonschema_rs
import psycopg
import pytest

import relay
from emulator.running import Emulator
from relay.stream import encoding
from relay.stream.change import HOTSPOTS, Change
from tests.relay.access.admission import bring, token_of
from tests.relay.clients import Tables, change, greeted, live_relay

SCHEMA: dict[str, Any] = json.loads(
    (Path(relay.__file__).parent / "protocol.schema.json").read_text()
)


def problems(definition: str, message: Any) -> list[str]:
    schema = {"$schema": SCHEMA["$schema"], "$defs": SCHEMA["$defs"]}
    validator = jsonschema_rs.validator_for(schema | {"$ref": f"#/$defs/{definition}"})
    return [error.message for error in validator.iter_errors(message)]


@pytest.mark.parametrize(
    "frame",
    [
        encoding.event(Change(HOTSPOTS, 7, 1, 9, {"id": 7}, "2026-01-05T09:14:02Z"), 5),
        encoding.event(Change(HOTSPOTS, 2**60, 3, 9, {"id": 2**60}, "2026-01-05T09:14:02Z"), 5),
        encoding.event(Change(HOTSPOTS, 7, 4, 9, None), 6),
        encoding.leave("alerts", 7, 4, 8),
        encoding.hello("hotspots", resumed=False, reason="no_cursor"),
        encoding.hello("hotspots", resumed=True, reason=None),
        encoding.synced("c", complete=True),
        encoding.synced(None, complete=False),
        encoding.cursor("c"),
        encoding.reset("epoch"),
        encoding.status("catching_up"),
        encoding.authenticated(3600),
        encoding.authenticated(None),
        encoding.token_expiring(30),
        encoding.TOKEN_REQUIRED,
        encoding.PONG,
    ],
)
def test_every_kind_of_frame_is_in_the_description(frame: str) -> None:
    assert problems("ServerFrame", json.loads(frame)) == []


@pytest.mark.parametrize(
    ("definition", "table"),
    [("Hotspot", "hotspots"), ("Alert", "alerts"), ("Recommendation", "recommendations")],
)
def test_every_column_of_a_row_is_in_the_description(
    emulator: Emulator, definition: str, table: str
) -> None:
    query = (
        "select column_name::text from information_schema.columns"
        " where table_schema = 'public' and table_name = %s"
    )
    with psycopg.connect(emulator.dsn("postgres")) as connection:
        columns = {name for (name,) in connection.execute(query, (table,))}
    stamps = {"version", "tx", "changed_at"}
    assert set(SCHEMA["$defs"][definition]["properties"]) == columns - stamps


@pytest.mark.parametrize(
    "frame",
    [
        {"type": "UPDATE", "table": "hotspots", "record": {"id": 7}},
        {"type": "DELETE", "schema": "public", "table": "x", "record": None, "version": 1},
        {"type": "status", "upstream": "fine"},
        {"type": "pong", "more": 1},
        {"type": "news"},
    ],
)
def test_another_message_is_not(frame: dict[str, Any]) -> None:
    assert problems("ServerFrame", frame) != []


async def test_what_comes_over_a_connection_is_as_described_rows_included(
    emulator: Emulator, tables: Tables
) -> None:
    hotspot = tables.hotspot()
    tables.alert(hotspot)
    tables.recommendation(hotspot)
    kinds = {"hotspots": "Hotspot", "alerts": "Alert", "recommendations": "Recommendation"}
    async with live_relay(emulator, RELAY_AUTH="required") as running, asyncio.timeout(60):
        for endpoint, kind in kinds.items():
            token = token_of(emulator)
            async with bring(running.host, endpoint, "header", token) as client:
                told = await greeted(client)
                if endpoint == "hotspots":
                    tables.execute("delete from hotspots where id = %s", tables.hotspot())
                    told += [await change(client), await change(client)]
            for frame in told:
                assert problems("ServerFrame", frame) == [], frame
            records = [frame["record"] for frame in told if frame["type"] == "INSERT"]
            assert records
            for record in records:
                assert problems(kind, record) == [], record
